"""Uploaded bytes in, text with structure and offsets out; one module a family of formats."""
