"""The panel of one document on the knowledge page: what its forms and buttons do."""

from collections.abc import Mapping
from datetime import UTC, datetime

from bot import audit
from bot.accounts import User
from knowledge.document_edits import DocumentChange
from knowledge.types import DocumentId, Visibility
from web.errors import HttpProblem
from web.ui import document_panel_view
from web.ui.document_panel_view import LANGUAGES, Compared
from web.ui.markup import notice
from web.ui.staff import Desk

FORMS = frozenset({"document", "diff"})
LIKE_ACTS = frozenset({"like_keep", "like_replace"})
ACTS = frozenset({"care", "rollback"}) | LIKE_ACTS
_MAX_VERSION_DIGITS = 9


class DocumentPanel:
    """Changes one document for a member of staff who may, and shows it again."""

    def __init__(self, desk: Desk) -> None:
        self._services = desk.services
        self._words = desk.words

    def act(self, act: str, press: Mapping[str, str], user: User) -> tuple[str, str]:
        """Opens the panel, or goes back to a version; returns the line and the panel.

        Two documents that are alike are settled here too, which needs no panel.
        """
        document_id = DocumentId(press.get("id", ""))
        if act in LIKE_ACTS:
            return self._settle(act, document_id, user), ""
        if act == "care":
            return "", self._show(document_id)
        version = _number(press.get("version", ""))
        self._services.versions.rollback(document_id, version, author=user.name)
        audit.record(self._services.engine, user.name, action="document.rollback",
                     target=document_id, detail={"version": version})  # fmt: skip
        line = notice(self._words("rollback_queued", version=version))
        return line, self._show(document_id)

    def _settle(self, act: str, document_id: DocumentId, user: User) -> str:
        choice = act.removeprefix("like_")
        if choice == "keep":
            self._services.duplicates.keep_both(document_id)
        else:
            self._services.duplicates.replace_other(document_id, author=user.name)
            self._services.indexes.refresh()
        audit.record(self._services.engine, user.name, action=f"duplicate.{choice}",
                     target=document_id)  # fmt: skip
        said = "duplicate_settled" if choice == "keep" else "duplicate_replacing"
        return notice(self._words(said))

    def submit(self, form: Mapping[str, str], user: User) -> tuple[str, str]:
        """Saves the properties or compares two versions; returns the line and the panel."""
        document_id = DocumentId(form.get("id", ""))
        if form.get("form") == "diff":
            old, new = _number(form.get("old", "")), _number(form.get("new", ""))
            parts = self._services.versions.diff(document_id, old, new)
            return "", self._show(document_id, compared=Compared(old, new, parts))
        change = _change(form)
        self._services.change_document(document_id, change)
        audit.record(self._services.engine, user.name, action="document.change",
                     target=document_id, detail={"fields": change.names()})  # fmt: skip
        return notice(self._words("document_saved")), self._show(document_id)

    def _show(self, document_id: DocumentId, *, compared: Compared | None = None) -> str:
        document = self._services.documents.get(document_id)
        versions = self._services.versions.list(document_id)
        return document_panel_view.panel(document, versions, self._words, compared=compared)


def _change(form: Mapping[str, str]) -> DocumentChange:
    visibility, language = form.get("visibility", ""), form.get("language", "")
    if visibility not in list(Visibility) or language not in ("", *LANGUAGES):
        raise HttpProblem("bad_request")
    tags = form.get("tags", "").replace("，", ",").replace("\x00", "").split(",")
    return DocumentChange(
        visibility=Visibility(visibility),
        language=language or None,
        tags=tuple(tags),
        effective_from=_moment(form.get("effective_from", "")),
        expires_at=_moment(form.get("expires_at", "")),
    )


def _moment(text: str) -> datetime | None:
    """Reads what a date field sends; the form says that it is UTC."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise HttpProblem("bad_request") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_VERSION_DIGITS:
        raise HttpProblem("bad_request")
    return int(text)
