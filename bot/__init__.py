"""A customer's message in, typed events out.

Flow: normalize → analyse → policy → contextualize → retrieve → policy with the evidence →
prompt → generate → ground → persist. May import `knowledge`.
"""
