"""In how many conversations each document was cited; written with the turn that cites."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Engine, func, insert, select

from bot.tables import DocumentUseRow
from bot.types import Citation, ConversationId


def record_uses(
    connection: Connection, conversation_id: ConversationId, citations: Iterable[Citation]
) -> None:
    """Notes the cited documents of one answer; a conversation has one turn at a time."""
    cited = {citation.document_id for citation in citations}
    if not cited:
        return
    known = connection.scalars(
        select(DocumentUseRow.document_id).where(DocumentUseRow.conversation_id == conversation_id)
    )
    new = sorted(cited - set(known))
    if new:
        rows = [{"document_id": id, "conversation_id": conversation_id} for id in new]
        connection.execute(insert(DocumentUseRow), rows)


class DocumentUses:
    """Counts conversations.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def counts(self) -> Mapping[str, int]:
        """Returns the number of conversations per document id; documents without are absent."""
        query = select(DocumentUseRow.document_id, func.count()).group_by(
            DocumentUseRow.document_id
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}
