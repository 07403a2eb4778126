"""Which citations of a stored answer a customer may still read.

A document may become staff-only after it was cited. Its quote, name and title are then left out
wherever a customer reads the conversation again; the answer's own text stays as it was given.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from bot.types import Message, Reply
from knowledge.types import DocumentId


class PublicDocuments(Protocol):
    """Knows which documents are for customers."""

    def is_public(self, document_id: DocumentId) -> bool:
        """False for what staff alone may read."""
        ...


def open_reply(reply: Reply, documents: PublicDocuments) -> Reply:
    """Returns the answer with those citations only whose documents are public now."""
    kept = tuple(c for c in reply.citations if documents.is_public(DocumentId(c.document_id)))
    return reply if len(kept) == len(reply.citations) else replace(reply, citations=kept)


def open_messages(messages: Iterable[Message], documents: PublicDocuments) -> list[Message]:
    """Returns messages as their customer may read them now."""
    return [
        message
        if message.reply is None
        else replace(message, reply=open_reply(message.reply, documents))
        for message in messages
    ]
