"""The passage panel of the knowledge page: what its buttons and forms do."""

from collections.abc import Mapping

from bot import audit
from bot.accounts import User
from knowledge.chunk_edits import ChunkChange
from knowledge.types import ChunkId, DocumentId
from web.errors import HttpProblem
from web.security import may
from web.ui import chunks_view
from web.ui.chunks_view import Shown
from web.ui.markup import notice
from web.ui.staff import Desk

_CHANGES = {
    "chunk-enable": ChunkChange(enabled=True),
    "chunk-disable": ChunkChange(enabled=False),
    "chunk-pin": ChunkChange(pinned=True),
    "chunk-unpin": ChunkChange(pinned=False),
}
_ACTS = frozenset(
    {"chunk-remove", "chunk-revert", "question-approve", "question-remove", "questions-propose"}
)
FORMS = frozenset({"chunk", "chunk-add", "question"})
ACTS = _ACTS | _CHANGES.keys()


class ChunkPanel:
    """Changes passages for a member of staff and shows them again."""

    def __init__(self, desk: Desk) -> None:
        self._services = desk.services
        self._words = desk.words

    def show(self, document_id: DocumentId, user: User, *, changed: ChunkId | None = None) -> str:
        """Returns the panel with a document's passages."""
        services = self._services
        return chunks_view.panel(
            Shown(
                document=services.documents.get(document_id),
                chunks=services.documents.chunks(document_id),
                questions=services.questions.of_document(document_id),
                may_write=may(user, "documents.write"),
                changed=changed,
            ),
            self._words,
        )

    def act(self, act: str, press: Mapping[str, str], user: User) -> tuple[str, str]:
        """Does what a button of a passage says; returns the line and the panel."""
        services = self._services
        chunk_id = ChunkId(_number(press.get("chunk") or press.get("id", "")))
        document_id = services.editor.get(chunk_id).document_id
        said = "chunk_saved"
        if act in _CHANGES:
            services.editor.change(chunk_id, _CHANGES[act], author=user.name)
        elif act == "chunk-revert":
            original = services.editor.get(chunk_id).original
            services.editor.change(chunk_id, ChunkChange(text=original), author=user.name)
        elif act == "chunk-remove":
            services.editor.remove(chunk_id, author=user.name)
        elif act == "questions-propose":
            before = len(services.questions.of_chunk(chunk_id))
            n_new = len(services.propose_questions(chunk_id)) - before
            said = "questions_proposed" if n_new else "questions_none"
        elif act == "question-approve":
            services.questions.approve(_number(press.get("id", "")))
        else:
            services.questions.remove(_number(press.get("id", "")))
        self._record(user, act, chunk_id)
        return notice(self._words(said)), self.show(document_id, user, changed=chunk_id)

    def submit(self, form: Mapping[str, str], user: User) -> tuple[str, str]:
        """Saves a form of the panel; returns the line and the panel."""
        services, text = self._services, form.get("text", "")
        if form.get("form") == "chunk-add":
            chunk = services.editor.add(DocumentId(form.get("id", "")), text, author=user.name)
        else:
            chunk_id = ChunkId(_number(form.get("id", "")))
            chunk = services.editor.get(chunk_id)
            if form.get("form") == "question":
                services.questions.add(chunk_id, [text], author=user.name)
            else:
                services.editor.change(chunk_id, ChunkChange(text=text), author=user.name)
        self._record(user, form.get("form", ""), chunk.id)
        shown = self.show(chunk.document_id, user, changed=chunk.id)
        return notice(self._words("chunk_saved")), shown

    def _record(self, user: User, act: str, chunk_id: ChunkId) -> None:
        action = act.replace("-", ".") if "-" in act else f"{act}.save"
        audit.record(self._services.engine, user.name, action=action, target=str(chunk_id))


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise HttpProblem("bad_request")
    return int(text)
