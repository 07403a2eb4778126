"""HTTP, pages and the command line; the only package with widgets and the only async one.

May import `finetune`, `bot` and `knowledge`; nothing imports `web`.
"""
