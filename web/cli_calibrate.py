"""`kefu kb calibrate`: makes relevance a probability on labelled questions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from web.console import CommandError, database, print_json, print_table, settings_in_force, tell
from web.console import text as say

if TYPE_CHECKING:
    from bot.settings import Settings
    from knowledge.relevance import RelevanceModel
    from knowledge.relevance_fit import Row

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="JSONL: query, document, quote?; without a document: not answered."),
]


def calibrate(
    files: Paths = None,
    rows: Annotated[
        list[Path] | None, typer.Option("--rows", help="Kept with --keep, of other bases too.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Write what was seen, as numbers; fit nothing.")
    ] = None,
    base: Annotated[str, typer.Option(help="Name of this knowledge base in --keep.")] = "own",
    out: Annotated[
        Path | None, typer.Option(help="Write the model here and not into the data folder.")
    ] = None,
    note: Annotated[str, typer.Option(help="On what it is fitted; kept with the model.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Calibrate relevance on labelled questions of both kinds, and say how far off it is."""
    from knowledge.relevance_file import NAME, RelevanceFile
    from knowledge.relevance_fit import calibrated, dump_rows

    if not files and (keep or not rows):
        raise typer.BadParameter("Give a FILE of questions, or --rows.")
    settings = settings_in_force()
    seen = [one for path in rows or () for one in _read(path)]
    found = _gather(settings, files, base) if files else []
    if keep is not None:
        keep.write_text(dump_rows(found), "utf-8")
        return
    seen += found
    now = RelevanceFile(settings.data_dir / NAME, embedder=seen[0].embedder).current()
    fitted = calibrated(now, seen, note=note)
    _show(seen, _compare(now, seen), as_json=as_json)
    if not dry_run:
        path = out or settings.data_dir / NAME
        fitted.save(path)
        tell("calibrate_saved", path=path)


def _read(path: Path) -> "list[Row]":
    from knowledge.relevance_fit import read_rows

    try:
        return read_rows(path.read_text("utf-8"), path.name)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _gather(settings: "Settings", files: Sequence[Path], base: str) -> "list[Row]":
    """Searches the questions of the files."""
    from bot.assembly import open_search, open_stores
    from knowledge.relevance_fit import gather
    from web.retrieval_eval import file_questions

    questions = [question for path in files for question in file_questions(path)]
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        opened = open_search(settings, engine)
        try:
            with typer.progressbar(length=len(questions), label="") as bar:
                return gather(
                    questions,
                    opened.retriever,
                    stores.documents,
                    base=base,
                    n_shown=settings.chat.passages,
                    on_question=lambda: bar.update(1),
                )
        finally:
            opened.indexes.close()


def _compare(now: "RelevanceModel", rows: "list[Row]") -> dict[str, list[float]]:
    """Returns the relevance of every row before and after, the latter on rows held out."""
    from knowledge.relevance_fit import by_model, held_out

    given = {
        "calibrate_now": by_model(rows, now),
        "calibrate_documents": held_out(now, rows, by_base=False),
    }
    if len({row.base for row in rows}) > 1:
        given["calibrate_bases"] = held_out(now, rows, by_base=True)
    return given


def _show(rows: "list[Row]", relevance: Mapping[str, list[float]], *, as_json: bool) -> None:
    from knowledge.cost import dial_table
    from knowledge.relevance_fit import quality
    from web.dial_report import COLUMNS, dial_rows

    measured = {name: asdict(quality(rows, values)) for name, values in relevance.items()}
    dials = {}
    for name, values in relevance.items():
        pairs = list(zip(rows, values, strict=True))
        dials[name] = [
            asdict(row)
            for row in dial_table(
                [value for row, value in pairs if row.answerable],
                [value for row, value in pairs if not row.answerable],
            )
        ]
    if as_json:
        print_json({name: measured[name] | {"dial": dials[name]} for name in measured})
        return
    print_table(
        ("", "n", "AUC", "ECE", "Brier"),
        [(say(name), *map(_figure, figures.values())) for name, figures in measured.items()],
    )
    for name, rows_shown in dials.items():
        tell(name)
        print_table(
            [say("dial_" + one) for one in COLUMNS], dial_rows({"relevance": {"dial": rows_shown}})
        )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.3f}"
