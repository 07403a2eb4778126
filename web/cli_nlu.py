"""`kefu nlu`: what understands messages: trained, judged and tried on the command line."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.classifiers.labels import LABELS, Task, level
from web.console import CommandError, print_json, print_table, settings_in_force

if TYPE_CHECKING:
    from bot.classifiers.head import Head
    from bot.nlu_tools import NluTools
    from bot.types import Prediction

app = typer.Typer(help="What understands messages.", no_args_is_help=True, rich_markup_mode=None)

TaskOption = Annotated[Task | None, typer.Option(help="What to tell; default: everything.")]
Data = Annotated[list[Path] | None, typer.Option(help="JSONL of text, label[, language].")]
ModelFolder = Annotated[Path | None, typer.Option(help="A trained head, or a folder of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_BATCH = 64
_TOP = 5


@app.command()
def train(
    task: TaskOption = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Where the head goes.")] = None,
    held_out: Annotated[list[Path] | None, typer.Option(help="Never trained on.")] = None,
    sentiment_base: Annotated[
        list[Path] | None, typer.Option(help="Public sets that the sentiment head starts from.")
    ] = None,
) -> None:
    """Train a head, or all of them, and write each with its card.

    Without --out it goes into the data folder; `POST /api/v1/nlu/TASK/promote` puts it in force.
    """
    from bot.nlu_tools import open_nlu_tools

    if data and task is None:
        raise CommandError("Expected --task with --data: a file has the labels of one task.")
    tools = open_nlu_tools(settings_in_force())
    if sentiment_base:
        _note("learning the base of sentiment")
        tools.learn_base(sentiment_base)
    for one in [task] if task else list(Task):
        target = None if out is None else (out if task else out / one.value)
        done = tools.train(one, data or (), out=target, held_out=held_out or (), on_step=_say(one))
        figures, trained = done.trained.figures, done.trained
        for line in trained.cleaned.contradictions:
            _note(f"warning: {line}; both are left out")
        _note(
            f"{one.value}: {len(trained.cleaned.examples)} examples, accuracy {figures.accuracy}, "
            f"macro-F1 {figures.macro_f1}, calibration error {figures.ece}, "
            f"{len(trained.doubts)} labels in doubt → {done.place}"
        )


@app.command("eval")
def evaluate(
    file: Annotated[Path, typer.Argument(help="JSONL of text, label.")],
    task: Annotated[Task, typer.Option(help="What the labels are of.")],
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge a head on labelled messages."""
    from bot.classifiers.dataset import read_examples
    from bot.classifiers.evaluation import coarse, predictions
    from bot.classifiers.evaluation import evaluate as judge
    from bot.nlu_tools import open_nlu_tools

    examples = read_examples([file], task)
    if not examples:
        raise CommandError(f"{file}: expected at least one labelled message, found none.")
    tools = open_nlu_tools(settings_in_force())
    head = tools.head(task, model)
    labels = [one.label for one in examples]
    shares = head.probabilities(tools.features([one.text for one in examples]))
    names, shares = coarse(head.labels, shares, wanted=set(labels))
    figures = judge(task, predictions(names, shares), labels)
    if as_json:
        print_json(figures.as_json())
        return
    print_table(
        ("label", "precision", "recall", "F1", "messages"),
        [(one.label, one.precision, one.recall, one.f1, one.n) for one in figures.labels],
    )
    _note(
        f"{figures.n} messages: accuracy {figures.accuracy}, macro-F1 {figures.macro_f1}, "
        f"calibration error {figures.ece}"
        + ("" if figures.oos_recall is None else f", out-of-scope recall {figures.oos_recall}")
    )


@app.command()
def predict(
    task: TaskOption = None,
    model: ModelFolder = None,
    explain: Annotated[bool, typer.Option("--explain", help="Words and examples.")] = False,
) -> None:
    """Read messages from standard input, a line each; print a JSON line for each."""
    from bot.nlu_tools import open_nlu_tools

    tools = open_nlu_tools(settings_in_force())
    wanted = [task] if task else [one for one in Task if tools.has(one, model)]
    heads = {one: tools.head(one, model) for one in wanted}
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    for first in range(0, len(lines), _BATCH):
        for line, told in _predicted(tools, heads, lines[first : first + _BATCH]):
            found = {
                one: _shown(tools, heads[one], line, prediction, explain)
                for one, prediction in told.items()
            }
            row: dict[str, Any] = {"text": line}
            row |= found[task] if task else {one.value: found[one] for one in wanted}
            typer.echo(json.dumps(row, ensure_ascii=False))


def _predicted(
    tools: "NluTools", heads: "dict[Task, Head]", lines: Sequence[str]
) -> "list[tuple[str, dict[Task, Prediction]]]":
    from bot.classifiers.evaluation import predictions

    features = tools.features(lines)
    told = {one: predictions(h.labels, h.probabilities(features)) for one, h in heads.items()}
    return [(line, {one: told[one][row] for one in heads}) for row, line in enumerate(lines)]


def _shown(
    tools: "NluTools", head: "Head", text: str, found: "Prediction", explain: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "label": found.label,
        "confidence": round(found.confidence, 4),
        "level": level(found.confidence),
        "top": [(label, round(share, 4)) for label, share in found.top[:_TOP]],
    }
    if explain:
        shown["explanation"] = asdict(tools.explain(text, found.label, head))
    return shown


def _note(line: str) -> None:
    typer.echo(line, err=True)


def _say(task: Task) -> Callable[[str], None]:
    return lambda stage: _note(f"{task.value} ({len(LABELS[task])} labels): {stage}")
