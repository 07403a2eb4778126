"""How a file would be split, before anything of it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.chunking import TokenCounter, split
from knowledge.embedding import MAX_INPUT_TOKENS
from knowledge.errors import EditRejected
from knowledge.ingestion import clean_file_name
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import check_upload
from knowledge.parsing.running import DirectParsing, ParseRunner
from knowledge.types import ChunkSpan, SplitKind, SplitRule

MIN_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Previewer:
    """Splits uploads as ingestion would.

    Args:
        limits: What a file may hold.
        chunk_tokens: Longest passage where the rule does not say.
        count_tokens: The embedder's count.
        parsing: Where files are parsed; a server uses `ChildParsing`.
    """

    limits: ParseLimits
    chunk_tokens: int
    count_tokens: TokenCounter
    parsing: ParseRunner = field(default_factory=DirectParsing)

    def split(self, name: str, data: bytes, rule: SplitRule) -> Sequence[ChunkSpan]:
        """Returns the passages that the file would become under the rule.

        Raises:
            EditRejected: the rule's limit is out of range.
            UnsupportedFormat, ParseFailed: as ingestion would.
        """
        check_rule(rule)
        name = clean_file_name(name)
        check_upload(name, data, self.limits)
        return split(
            self.parsing.run(name, data, self.limits, check=lambda: None),
            max_tokens=rule.max_tokens or self.chunk_tokens,
            count_tokens=self.count_tokens,
            kind=rule.kind,
        )


def check_rule(rule: SplitRule) -> SplitRule:
    """Returns the rule; raises `EditRejected` when its limit is out of range."""
    if rule.max_tokens is not None and not MIN_TOKENS <= rule.max_tokens <= MAX_INPUT_TOKENS:
        raise EditRejected(
            f"Expected {MIN_TOKENS} to {MAX_INPUT_TOKENS} tokens, got {rule.max_tokens}."
        )
    return rule


def rule_from(stored: Mapping[str, object] | None) -> SplitRule:
    """Returns the rule that a document's row keeps, or the usual one."""
    if stored is None:
        return SplitRule()
    limit = stored.get("max_tokens")
    return SplitRule(SplitKind(str(stored["kind"])), int(str(limit)) if limit else None)
