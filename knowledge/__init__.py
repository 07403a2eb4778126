"""Text in, ranked passages out; knows nothing of conversations.

Flow: parse → chunk → embed → store rows → vector and lexical index → retrieve → fuse.
May import no other Kefu package.
"""
