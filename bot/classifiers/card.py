"""A head's card: what it was trained on, how good it is, and the picture of its confusions."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.classifiers.evaluation import Figures
from bot.classifiers.noise import Doubt

_CELL_PX, _MARGIN_PX, _CHAR_PX = 22, 12, 7
_SHOWN_DOUBTS = 20


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card states beside the figures."""

    data: Sequence[str]  # name and licence of each set
    n_examples: int
    n_duplicates: int
    n_near_duplicates: int
    n_held_out: int
    measured: str  # how the figures were taken
    chosen: str  # what cross-validation chose
    command: str
    doubts: Sequence[Doubt] = field(default=())


def write_card(figures: Figures, facts: CardFacts) -> str:
    """Returns the card as Markdown."""
    rows = "\n".join(
        f"| {one.label} | {one.precision:.3f} | {one.recall:.3f} | {one.f1:.3f} | {one.n} |"
        for one in figures.labels
    )
    data = "\n".join(f"- {line}" for line in facts.data)
    scope = ""
    if figures.oos_recall is not None and figures.oos_recall_interval is not None:
        low, high = figures.oos_recall_interval
        scope = (
            f"\nIn scope, accuracy {figures.in_scope_accuracy}; out of scope, recall "
            f"{figures.oos_recall} (95 % interval {low}–{high}).\n"
        )
    doubts = "\n".join(
        f"- {one.source}: {one.label}, perhaps {one.likelier} ({one.confidence:.2f})"
        for one in facts.doubts[:_SHOWN_DOUBTS]
    )
    return f"""# {figures.task}

Made by `{facts.command}` from {facts.n_examples} examples; left out: {facts.n_duplicates}
duplicates, {facts.n_near_duplicates} near duplicates, {facts.n_held_out} that the held-out set has.

{data}

{facts.chosen}

## Figures

{facts.measured}, {figures.n} messages: accuracy {figures.accuracy}, macro-F1 {figures.macro_f1},
expected calibration error {figures.ece}.
{scope}
| label | precision | recall | F1 | messages |
|---|---|---|---|---|
{rows}

![Confusions: a row for each true label, a column for each predicted one](confusion.png)

## Labels in doubt: {len(facts.doubts)}

{doubts or "None."}
"""


def draw_confusion(figures: Figures) -> bytes:
    """Returns the confusion matrix as PNG: darker means a larger share of the row."""
    from PIL import Image, ImageDraw

    names = figures.confusion_labels
    left = _MARGIN_PX + _CHAR_PX * max(map(len, names))
    size = left + _CELL_PX * len(names) + _MARGIN_PX
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    for at, name in enumerate(names):
        offset = left + at * _CELL_PX
        draw.text((_MARGIN_PX // 2, offset + 5), name, fill="black")
        label = Image.new("RGB", (left, _CELL_PX), "white")
        ImageDraw.Draw(label).text((_MARGIN_PX // 2, 5), name, fill="black")
        image.paste(label.rotate(90, expand=True), (offset, 0))
    for true, row in enumerate(figures.confusion):
        for guess, count in enumerate(row):
            _cell(draw, (left + guess * _CELL_PX, left + true * _CELL_PX), count, sum(row))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def _cell(draw: "ImageDraw", at: tuple[int, int], count: int, n: int) -> None:  # type: ignore[name-defined] # noqa: F821
    share = count / n if n else 0.0
    x, y = at
    shade = (255 - int(215 * share), 255 - int(160 * share), 255 - int(75 * share))
    draw.rectangle((x, y, x + _CELL_PX - 1, y + _CELL_PX - 1), fill=shade, outline="#d0d0d0")
    if count:
        draw.text((x + 3, y + 5), str(count), fill="white" if share > 0.6 else "black")
