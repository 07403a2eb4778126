"""Errors of the knowledge base.

KnowledgeError
├── UnsupportedFormat     the file is of no known kind, or not what its name says
├── ParseFailed           known kind, but empty, broken, encrypted or beyond a limit
├── FileTooLarge          more bytes than the limit allows
├── DuplicateDocument     another document already has that file name
├── DuplicateText         another document says the same, and the upload asked to skip it
├── DocumentNotFound      no live document, version or chunk of that id
├── ChunkNotFound         no passage of that id in a live version
├── EditRejected          the new words of a passage or question cannot be taken
├── EditConflict          the document is being worked on, so its words cannot change now
├── InvalidChange         a document cannot be changed in this way
├── JobNotFound           no job of that id
├── IndexMismatch         the index on disk was built by another embedder or format
├── IndexLocked           another process is writing this index
├── StepFailed            a job of a kind that this package does not know could not be done
├── QuestionsRejected     the questions of an evaluation cannot be used
├── EmbedderUnavailable   the embedding model cannot be loaded
├── RerankerUnavailable   the reranking model cannot be loaded
├── ArchiveRejected       the file is no whole archive of a knowledge base, or has no place
├── SourceNotFound        no web source of that id
├── SourceRejected        the address cannot be a web source, or is one already
└── FetchFailed           an address gave no usable content; the message says why
    ├── AddressRefused    it leads to a private or otherwise special network address
    ├── PageGone          the server says that there is no such page (404, 410)
    └── RobotsDenied      the site's robots.txt does not allow it
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


class DuplicateText(KnowledgeError):
    """Another document says the same or nearly so, and the upload asked to skip such files."""


class DocumentNotFound(KnowledgeError):
    """There is no live document, version or chunk of that id."""


class ChunkNotFound(DocumentNotFound):
    """There is no passage, or no question of one, of that id in a live version."""


class EditRejected(KnowledgeError):
    """The new words of a passage or question cannot be taken."""


class EditConflict(KnowledgeError):
    """The document is being worked on, so its words cannot change now."""


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


class RerankerUnavailable(KnowledgeError):
    """The reranking model cannot be loaded."""


class SourceNotFound(KnowledgeError):
    """There is no web source of that id."""


class SourceRejected(KnowledgeError):
    """The address cannot be a web source, or is one already."""


class FetchFailed(KnowledgeError):
    """An address gave no usable content; the message says why."""


class AddressRefused(FetchFailed):
    """The address leads to a private or otherwise special part of the network."""


class PageGone(FetchFailed):
    """The server says that there is no such page."""


class RobotsDenied(FetchFailed):
    """The site's robots.txt does not allow us to fetch it."""


class ArchiveRejected(KnowledgeError):
    """The file is no whole archive of a knowledge base, or there is no place for it."""


class ConflictNotFound(KnowledgeError):
    """There is no contradiction of that id."""


class StepFailed(KnowledgeError):
    """A job's step, given by another package, could not be done; the message says why."""


class QuestionsRejected(KnowledgeError):
    """The questions of an evaluation cannot be used."""
