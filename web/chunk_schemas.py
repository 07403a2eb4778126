"""Bodies of requests and responses about passages and their questions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from knowledge.chunk_edits import MAX_CHUNK_CHARS
from knowledge.chunk_questions import MAX_QUESTION_CHARS
from knowledge.entries import MAX_QUESTIONS

#: A little over the limit still reaches the editor, whose message says what is wrong.
_Text = Annotated[str, Field(max_length=4 * MAX_CHUNK_CHARS)]
_Question = Annotated[str, Field(max_length=4 * MAX_QUESTION_CHARS)]


class ChunkPatch(BaseModel):
    """What to change of a passage; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    text: _Text | None = None
    enabled: bool | None = None
    pinned: bool | None = None


class NewChunk(BaseModel):
    """A passage to append to a document."""

    model_config = ConfigDict(extra="forbid")

    text: _Text


class NewQuestions(BaseModel):
    """Questions that lead to a passage."""

    model_config = ConfigDict(extra="forbid")

    questions: Annotated[Sequence[_Question], Field(min_length=1, max_length=MAX_QUESTIONS)]


class EditedChunk(BaseModel):
    """A passage with what people did to it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    document_id: str
    version: int
    text: str
    start: int
    end: int
    page: int | None
    headings: list[str]
    enabled: bool
    pinned: bool
    origin: str
    edited: bool
    original: str | None
    edited_by: str | None
    edited_at: datetime | None


class QuestionOut(BaseModel):
    """A question that leads to a passage; `proposed` ones wait for approval."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    chunk_id: int
    text: str
    state: str
    author: str
    created_at: datetime


class QuestionList(BaseModel):
    """All questions of a passage."""

    items: list[QuestionOut]
    total: int


class SpanOut(BaseModel):
    """A passage that a file would become."""

    model_config = ConfigDict(from_attributes=True)

    text: str
    start: int
    end: int
    page: int | None
    headings: list[str]


class PreviewOut(BaseModel):
    """All passages that a file would become."""

    model_config = ConfigDict(from_attributes=True)

    items: list[SpanOut]
    total: int
