"""The part of the reply flow that gives a curated answer, before anything is searched."""

from datetime import UTC, datetime

from bot.catalogue import Catalogue
from bot.curated import CuratedHit, CuratedStore
from bot.curated_matching import CuratedMatch, CuratedMatcher
from bot.grounding import Checked
from bot.runs import MAX_QUOTE_CHARS
from bot.text import sentence_spans
from bot.turns import Turn
from bot.types import Citation, Grounding, SentenceCheck


class CuratedReplies:
    """Looks a question up among the curated answers and keeps the history.

    Args:
        matcher: Finds the answer.
        store: Keeps when it was given.
        catalogue: Names the source in the customer's language.
    """

    def __init__(
        self, matcher: CuratedMatcher, store: CuratedStore, *, catalogue: Catalogue
    ) -> None:
        self._matcher = matcher
        self._store = store
        self._catalogue = catalogue

    def find(self, question: str, language: str) -> CuratedMatch | None:
        """Returns the approved answer for a question in that language, if there is one."""
        return self._matcher.match(question, language)

    def checked(self, match: CuratedMatch, language: str) -> Checked:
        """Returns the approved text, word for word, as an answer that needs no other support."""
        name = self._catalogue.text("curated.source", language)
        citation = Citation(
            n=1, document_id=f"curated:{match.answer_id}", document=name, title=match.question,
            version=0, chunk_id=0,
            quote=match.text[:MAX_QUOTE_CHARS], start=None, end=None, page=None,
            score=match.similarity,
        )  # fmt: skip
        spans = sentence_spans(match.text)
        sentences = tuple(SentenceCheck(match.text[a:b], 1.0, 1) for a, b in spans)
        return Checked(match.text, (citation,), Grounding(1.0, "supported", sentences))

    def record(self, match: CuratedMatch, query: str, turn: Turn) -> None:
        """Adds to the answer's history."""
        self._store.record_hit(
            match.answer_id,
            CuratedHit(
                at=datetime.now(UTC),
                query=query,
                question=match.question,
                similarity=match.similarity,
                conversation_id=turn.conversation_id,
                message_id=turn.reply_id or turn.customer_message_id,
            ),
        )
