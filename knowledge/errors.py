"""Errors of the knowledge base.

KnowledgeError
├── UnsupportedFormat     the file is of no known kind, or not what its name says
├── ParseFailed           known kind, but empty, broken, encrypted or beyond a limit
├── FileTooLarge          more bytes than the limit allows
├── DuplicateDocument     another document already has that file name
├── DocumentNotFound      no live document, version or chunk of that id
├── InvalidChange         a document cannot be changed in this way
├── JobNotFound           no job of that id
├── IndexMismatch         the index on disk was built by another embedder or format
├── IndexLocked           another process is writing this index
└── EmbedderUnavailable   the embedding model cannot be loaded
"""


class KnowledgeError(Exception):
    """Base of all errors of this package; messages say what to do next."""


class UnsupportedFormat(KnowledgeError):
    """The file is of no known kind, or not what its name says."""


class ParseFailed(KnowledgeError):
    """The file is of a known kind but empty, broken, encrypted or beyond a limit."""


class FileTooLarge(KnowledgeError):
    """The file has more bytes than the limit allows."""


class DuplicateDocument(KnowledgeError):
    """Another document already has that file name."""


class DocumentNotFound(KnowledgeError):
    """There is no live document, version or chunk of that id."""


class InvalidChange(KnowledgeError):
    """A document cannot be changed in this way."""


class JobNotFound(KnowledgeError):
    """There is no job of that id."""


class IndexMismatch(KnowledgeError):
    """The index on disk was built by another embedder or an older format."""


class IndexLocked(KnowledgeError):
    """Another process is writing this index."""


class EmbedderUnavailable(KnowledgeError):
    """The embedding model cannot be loaded."""
