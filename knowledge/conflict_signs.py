"""The signs by which two figures are judged to answer one question with different values.

Each figure of a statement is read once; a pair of figures then gets a row of numbers that
`conflict_model` weighs. A word that only one side has may be just another wording or a condition
that tells the two apart, so rare words weigh more, and what the passage around it says counts.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.asked import per_of, question_of, roles_of
from knowledge.claims import is_chinese, words
from knowledge.contrasts import Contrast
from knowledge.embedding import Vectors
from knowledge.names_in_text import names_in
from knowledge.quantity import Quantity
from knowledge.statements import Place, Statement, codes_of, key_words

Words = frozenset[str]
#: When a paper was made is no fact of what it says.
_EDITION = re.compile(
    r"第\s?\d+\s?[期版]|公众号|版本|印刷|印制|印于|发布于?|张贴|更新|修订|打印"
    r"|\b(?:issue|version|printed|published|sent on|updated|put up|revised)\b"
)
#: A row of its name and one value needs no heading.
_MANY_CELLS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure of a statement, with what it answers."""

    statement: int
    quantity: Quantity
    question: str
    clause: Words
    named: tuple[frozenset[int], ...]
    roles: frozenset[str]
    per: frozenset[str]


@dataclass(frozen=True, slots=True)
class Read:
    """What is known of one statement without comparing it."""

    own: Words
    about: Words
    passage: Words
    names: Words
    names_around: Words
    named: tuple[frozenset[int], ...]
    named_around: tuple[frozenset[int], ...]
    special: tuple[bool, ...]
    special_around: tuple[bool, ...]
    codes: Words
    codes_around: Words
    in_chinese: bool


class Reader:
    """Reads statements; the words of a passage are read once for all its statements."""

    def __init__(self, contrasts: Sequence[Contrast]) -> None:
        self._contrasts = contrasts
        self._passages: dict[int, tuple[Words, Words, Words]] = {}

    def read(self, one: Statement) -> Read:
        """Returns what a statement says and what stands around it."""
        text, place = f"{one.key} {one.text}", one.place
        passage, about, names = self._around(place)
        lower, around = text.lower(), place.about.lower()
        return Read(
            own=words(one.masked()),
            about=about,
            passage=passage,
            names=names_in(text),
            names_around=names | names_in(text),
            named=tuple(group.named(lower) for group in self._contrasts),
            named_around=tuple(group.named(around) for group in self._contrasts),
            special=tuple(group.is_special(lower) for group in self._contrasts),
            special_around=tuple(group.is_special(around) for group in self._contrasts),
            codes=one.codes,
            codes_around=codes_of(f"{place.about} {place.document}"),
            in_chinese=is_chinese(one.text),
        )

    def claims(self, number: int, one: Statement) -> list[Claim]:
        """Returns the figures of statement `number` with their questions.

        A question claims nothing, a date of printing nothing about the company, and a bare cell
        of a row of several says nothing without its column's heading.
        """
        if one.text.rstrip().endswith(("?", "？")):
            return []
        return [
            Claim(
                statement=number,
                quantity=quantity,
                question=f"{one.key} {question_of(one.text, quantity, one.quantities)}".strip(),
                clause=words(clause),
                named=tuple(
                    group.named(f"{one.key.lower()} {clause}") for group in self._contrasts
                ),
                roles=roles_of(clause),
                per=per_of(clause),
            )
            for quantity, clause in ((each, one.clause(each).lower()) for each in one.quantities)
            if not _is_bare_cell(one, quantity)
            and not (quantity.dimension == "date" and _EDITION.search(one.text.lower()))
        ]

    def _around(self, place: Place) -> tuple[Words, Words, Words]:
        if place.chunk_id not in self._passages:
            whole = f"{place.about} {place.text}"
            self._passages[place.chunk_id] = (
                words(whole),
                words(place.about),
                names_in(f"{whole} {place.document}"),
            )
        return self._passages[place.chunk_id]


class Rarity:
    """How much a word tells: the fewer statements have it, the more."""

    def __init__(self, reads: Sequence[Read]) -> None:
        counts = Counter(word for read in reads for word in read.own)
        self._weights = {word: math.log(1 + len(reads) / n) for word, n in counts.items()}

    def of(self, found: Words) -> float:
        """Returns the weight of a set of words."""
        return sum(self._weights.get(word, 1.0) for word in found)


class RowKeys:
    """What tells a table row from the other rows of its document."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        by_document: dict[str, dict[str, Words]] = {}
        for one in statements:
            if one.key:
                by_document.setdefault(one.place.document_id, {})[one.key] = key_words(one.key)
        self._keys: dict[tuple[str, str], Words] = {}
        for document, rows in by_document.items():
            shared = Counter(word for found in rows.values() for word in found)
            for key, found in rows.items():
                own = frozenset(word for word in found if shared[word] == 1)
                self._keys[document, key] = own or found

    def named(self, row: Statement, other: Statement) -> bool:
        """True where the other statement names what the row is of; for no row at all, too."""
        if not row.key:
            return True
        wanted = self._keys.get((row.place.document_id, row.key), frozenset())
        around = f"{other.key} {other.text} {other.place.title} {' '.join(other.place.headings)}"
        return bool(wanted & key_words(around))


def _is_bare_cell(one: Statement, quantity: Quantity) -> bool:
    start = one.text.rfind("\n", 0, quantity.start) + 1
    line = one.text[start:].split("\n", 1)[0]
    cells = [cell for cell in line.split("|") if cell.strip()]
    if len(cells) < _MANY_CELLS:
        return False
    first = one.text.rfind("|", start, quantity.start) + 1
    last = one.text.find("|", quantity.end)
    around = one.text[first : quantity.start] + one.text[quantity.end : last if last >= 0 else None]
    return not any(char.isalpha() for char in around)


def different_codes(a: Read, b: Read) -> bool:
    """Two products; what a title names holds for every sentence below it."""
    mine, theirs = a.codes or a.codes_around, b.codes or b.codes_around
    return bool(mine and theirs) and not any(
        one in other or other in one for one in mine for other in theirs
    )


def apart_in_time(a: Statement, b: Statement) -> bool:
    """True where one document ends before the other begins."""
    return _ends_before(a, b) or _ends_before(b, a)


def _ends_before(first: Statement, second: Statement) -> bool:
    end, begin = first.place.expires_at, second.place.effective_from
    return end is not None and begin is not None and end <= begin


@dataclass(frozen=True, slots=True)
class Pair:
    """Two statements with what was read of them; `alike` is the cosine of their vectors."""

    a: Statement
    b: Statement
    read_a: Read
    read_b: Read
    alike: float


def statement_signs(pair: Pair, rarity: Rarity, keys: RowKeys) -> dict[str, float]:
    """Returns the signs that all figures of two statements share."""
    a, b, x, y = pair.a, pair.b, pair.read_a, pair.read_b
    mine, theirs = max(1e-9, rarity.of(x.own)), max(1e-9, rarity.of(y.own))
    both = rarity.of(x.own & y.own)
    apart = (rarity.of(x.own - y.own - y.about) / mine, rarity.of(y.own - x.own - x.about) / theirs)
    far = (rarity.of(x.own - y.passage) / mine, rarity.of(y.own - x.passage) / theirs)
    contrasts = _contrasts(x, y)
    return {
        "place": pair.alike,
        "shared": both / min(mine, theirs),
        "shared_of_longer": both / max(mine, theirs),
        "unmatched": max(apart),
        "unmatched_least": min(apart),
        "foreign": max(far),
        "foreign_least": min(far),
        "about": rarity.of(x.about & y.about)
        / max(1e-9, min(rarity.of(x.about), rarity.of(y.about))),
        "names_clash": float(bool(x.names and y.names and not x.names & y.names)),
        "names_foreign": float(bool(x.names) and not x.names & y.names_around)
        + float(bool(y.names) and not y.names & x.names_around),
        "names_shared": float(bool(x.names & y.names)),
        **contrasts,
        "key": float(keys.named(a, b) and keys.named(b, a)),
        "rows": float(bool(a.key)) + float(bool(b.key)),
        "n_figures": math.log(len(a.quantities) + len(b.quantities)),
        "n_equal": float(
            sum(any(q.agrees(r) for r in b.quantities) for q in a.quantities)
            + sum(any(r.agrees(q) for q in a.quantities) for r in b.quantities)
        ),
        "same_document": float(a.place.document_id == b.place.document_id),
        "in_chinese": float(x.in_chinese and y.in_chinese),
        "other_language": float(x.in_chinese != y.in_chinese),
    }


def figure_signs(a: Claim, b: Claim) -> dict[str, float]:
    """Returns the signs of two figures that need no vector."""
    clauses = max(1, min(len(a.clause), len(b.clause)))
    return {
        "clause": len(a.clause & b.clause) / clauses,
        "clause_contrast": float(
            sum(bool(m and t and not m & t) for m, t in zip(a.named, b.named, strict=True))
        ),
        "roles": float(len(a.roles ^ b.roles)),
        "roles_clash": float(_limits_clash(a, b) or ("before" in a.roles) != ("before" in b.roles)),
        "per_clash": float(bool(a.per and b.per and not a.per & b.per)),
        "per_one": float(bool(a.per) != bool(b.per)),
        "ratio": _log_ratio(a.quantity, b.quantity),
        "same_unit": float(a.quantity.unit == b.quantity.unit),
        "range_one": float(_is_range(a.quantity) != _is_range(b.quantity)),
    }


def meaning_signs(
    asked: tuple[Vectors, Vectors], said: tuple[Vectors, Vectors]
) -> dict[str, float]:
    """Returns how well each statement answers the other's question."""
    one, other = float(asked[0] @ said[1]), float(asked[1] @ said[0])
    return {
        "answers": (one + other) / 2,
        "answers_least": min(one, other),
        "questions": float(asked[0] @ asked[1]),
    }


def _contrasts(x: Read, y: Read) -> dict[str, float]:
    """Counts the groups that tell the two apart: by their words, or by what is around them."""
    found = {"contrast": 0.0, "contrast_around": 0.0, "contrast_places": 0.0, "special": 0.0}
    common = 0
    for group, (mine, theirs) in enumerate(zip(x.named, y.named, strict=True)):
        around_a, around_b = mine | x.named_around[group], theirs | y.named_around[group]
        if around_a and around_b and not around_a & around_b:
            kind = "_around" if mine or theirs else "_places"
            found["contrast" if mine and theirs else f"contrast{kind}"] += 1
        elif mine and theirs and not mine & theirs:
            found["contrast"] += 1
        common += bool(mine & theirs)
        if x.special[group] != y.special[group]:
            found["special"] += not (y if x.special[group] else x).special_around[group]
    return found | {"topic": float(common)}


def _limits_clash(a: Claim, b: Claim) -> bool:
    return any(
        "least" in one.roles and "most" in other.roles and "most" not in one.roles
        for one, other in ((a, b), (b, a))
    )


def _log_ratio(a: Quantity, b: Quantity) -> float:
    """How many times one is the other, as a logarithm; dates and times have none."""
    if a.dimension in ("date", "time", "month day") or a.high <= 0 or b.high <= 0:
        return 0.7
    return abs(math.log(a.high / b.high))


def _is_range(one: Quantity) -> bool:
    return one.low < one.high


def as_row(signs: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """Returns the signs in a fixed order."""
    return [signs[name] for name in names]
