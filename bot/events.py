"""What a reply streams, in order: Status*, Token*, Citations?, then one Final or Failure."""

from dataclasses import dataclass

from bot.types import Citation, Reply


@dataclass(frozen=True, slots=True)
class Status:
    """A stage that was reached: `searching`, `queued` (with a 1-based position), `writing`."""

    stage: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text, to be appended to what was shown."""

    text: str


@dataclass(frozen=True, slots=True)
class Citations:
    """The sources of the answer, once they are known."""

    items: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """The finished reply; its text is authoritative over the tokens."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Failure:
    """A step failed; `title` and `detail` are for the customer, `reference` finds the log line."""

    title: str
    detail: str
    reference: str


Event = Status | Token | Citations | Final | Failure
