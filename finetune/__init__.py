"""Reviewed corrections in, evaluated adapters out. May import `bot` and `knowledge`."""
