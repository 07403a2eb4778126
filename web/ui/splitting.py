"""Trying splitting rules on the knowledge page: passages are shown live, then kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from knowledge.errors import UnsupportedFormat
from knowledge.preview import check_rule
from knowledge.types import DocumentId, SplitKind, SplitRule
from web.errors import HttpProblem
from web.ui import splitting_view
from web.ui.markup import notice
from web.ui.staff import EXPECTED, Desk, sent

View = tuple[Any, ...]
_MAX_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Picked:
    """A file that was sent: where Gradio put it, and the name it really has."""

    path: Path
    name: str

    def read(self) -> bytes:
        """Returns the bytes; raises `UnsupportedFormat` where Gradio has tidied them away."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise UnsupportedFormat("The uploaded file is gone; choose it again.") from error


class SplitTrial:
    """Shows how a chosen file, or a document that is there, would be split.

    Every handler returns line, form, passages and the file picker.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._services = desk.services
        self._words = desk.words

    def choose(self, files: list[Picked] | None, request: gr.Request) -> View:
        """Shows a file that was just chosen, split by the usual rule."""
        try:
            self._desk.user(request, "documents.write")
            if not files:
                return "", "", "", gr.skip()
            form = self._form(files[0].name, SplitRule())
            return "", form, self._passages(files[0].name, files[0].read(), SplitRule()), gr.skip()
        except EXPECTED as error:
            return self._desk.line(error), "", "", None

    def change(self, files: list[Picked] | None, event: gr.EventData, request: gr.Request) -> View:
        """Opens a document, shows a changed rule's passages, saves, or closes."""
        press = sent(event)
        try:
            user = self._desk.user(request, "documents.write")
            if press.get("act") == "split-close":
                return "", "", "", None
            if press.get("act") == "split":
                return self._open(DocumentId(press.get("id", "")))
            document_id, rule = DocumentId(press.get("id", "")), _rule(press)
            if press.get("go") == "save":
                return self._save(document_id, files, rule, user)
            name, content = self._source(document_id, files)
            return "", gr.skip(), self._passages(name, content, rule), gr.skip()
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip()

    def _open(self, document_id: DocumentId) -> View:
        rule = self._services.versions.split_rule(document_id)
        name, content = self._services.versions.file(document_id)
        form = self._form(name, rule, document_id)
        return "", form, self._passages(name, content, rule), None

    def _save(
        self, document_id: DocumentId, files: list[Picked] | None, rule: SplitRule, user: User
    ) -> View:
        if document_id:
            self._services.versions.resplit(document_id, rule, author=user.name)
        else:
            name, content = self._source(document_id, files)
            document_id, _ = self._services.ingestor.submit(
                name, content, author=user.name, rule=check_rule(rule)
            )
        audit.record(self._services.engine, user.name, action="document.split",
                     target=document_id, detail={"kind": rule.kind.value})  # fmt: skip
        return notice(self._words("split_saved")), "", "", None

    def _source(self, document_id: DocumentId, files: list[Picked] | None) -> tuple[str, bytes]:
        if document_id:
            return self._services.versions.file(document_id)
        if not files:
            raise UnsupportedFormat("The uploaded file is gone; choose it again.")
        return files[0].name, files[0].read()

    def _form(self, name: str, rule: SplitRule, document_id: DocumentId | None = None) -> str:
        usual = self._services.previewer.chunk_tokens
        return splitting_view.split_form(
            name, rule, usual, self._words, document_id=document_id or ""
        )

    def _passages(self, name: str, content: bytes, rule: SplitRule) -> str:
        previewer = self._services.previewer
        spans = previewer.split(name, content, rule)
        return splitting_view.passages(spans, previewer.count_tokens, self._words)


def _rule(form: Mapping[str, str]) -> SplitRule:
    kind, limit = form.get("split", ""), form.get("max_tokens", "").strip()
    is_number = limit.isascii() and limit.isdecimal() and len(limit) <= _MAX_DIGITS
    if kind not in list(SplitKind) or (limit and not is_number):
        raise HttpProblem("bad_request")
    return SplitRule(SplitKind(kind), int(limit) if limit else None)
