"""`kefu kb eval`: measures retrieval, keeps the result, compares two results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from web.console import (
    CommandError,
    database,
    print_json,
    print_table,
    settings_in_force,
    tell,
    text,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bot.settings import Settings


def evaluate(
    file: Annotated[
        Path | None, typer.Argument(help="JSONL: query, document, quote?, language?")
    ] = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="On answers that customers liked, without a file.")
    ] = False,
    compare: Annotated[
        tuple[int, int] | None, typer.Option("--compare", help="Numbers of two kept runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure retrieval on questions whose passage is known; every run is kept."""
    if (file is not None) + confirmed + (compare is not None) != 1:
        raise typer.BadParameter("Give a FILE, or --confirmed, or --compare with two numbers.")
    settings = settings_in_force()
    with database(settings) as engine:
        if compare is not None:
            _compare(engine, compare, as_json)
            return
        number, report = _measure(settings, engine, file)
    if as_json:
        print_json({"run": number} | {name: report[name] for name in report if name != "hits"})
        return
    from web.retrieval_eval import rows

    k = report["k"]
    print_table(("stage", "language", "n", f"hit@{k}", "mrr@10", "ndcg@10"), rows(report))
    print_dial(report)
    tell("eval_kept", number=number)


def print_dial(report: dict[str, Any]) -> None:
    """Prints what share is refused and wrongly answered for several costs of a wrong answer."""
    from web.dial_report import COLUMNS, dial_rows

    print_table([text("dial_" + name) for name in COLUMNS], dial_rows(report))
    relevance = report["relevance"]
    figures = {name: relevance[name] for name in ("auc", "ece", "brier")}
    tell("dial_quality", **{k: "–" if v is None else f"{v:.2f}" for k, v in figures.items()})


def _measure(
    settings: "Settings", engine: "Engine", file: Path | None
) -> tuple[int, dict[str, Any]]:
    from bot.assembly import open_search, open_stores
    from bot.confirmed import confirmed_answers
    from knowledge.eval_runs import EvalRunStore
    from knowledge.evaluate_job import settings_used
    from knowledge.evaluation import evaluate as evaluate_questions
    from knowledge.evaluation import fingerprint
    from web import retrieval_eval

    stores = open_stores(settings, engine)
    if file is None:
        answers = confirmed_answers(engine)
        questions = list(retrieval_eval.confirmed_questions(answers, stores.documents))
        if not questions:
            raise CommandError("No answer that cites a passage was given a thumbs-up yet.")
    else:
        questions = retrieval_eval.file_questions(file)
    opened = open_search(settings, engine)
    try:
        measure = retrieval_eval.measure(opened.retriever, settings)
        report = evaluate_questions(questions, opened.retriever, stores.documents, measure=measure)
        used = settings_used(opened.embedder.id, opened.retriever, measure)
    finally:
        opened.indexes.close()
    source = retrieval_eval.CONFIRMED if file is None else file.name
    kept = EvalRunStore(engine).add(source, fingerprint(questions), settings=used, report=report)
    return kept, report


def _compare(engine: "Engine", numbers: tuple[int, int], as_json: bool) -> None:
    from knowledge.eval_runs import EvalRunStore
    from knowledge.eval_runs import compare as compare_runs

    store = EvalRunStore(engine)
    runs = [store.get(number) for number in numbers]
    before, after = runs
    if before is None or after is None:
        missing = numbers[0] if before is None else numbers[1]
        kept = ", ".join(str(run.id) for run in store.list(limit=10)) or "none"
        raise CommandError(f"There is no run {missing}; the newest are {kept}.")
    changes = compare_runs(before, after)
    lines = [
        {
            "stage": change.stage,
            "language": change.language,
            "before": change.before,
            "after": change.after,
            "interval": change.interval,
            "regression": change.is_regression,
        }
        for change in changes
    ]
    if as_json:
        print_json(lines)
        return
    print_table(
        ("stage", "language", "before", "after", "difference, 95 %", ""),
        [_line(line) for line in lines],
    )


def _line(line: dict[str, Any]) -> tuple[object, ...]:
    spread = line["interval"]
    return (
        line["stage"],
        line["language"],
        f"{line['before']:.3f}",
        f"{line['after']:.3f}",
        "other questions" if spread is None else f"{spread[0]:+.3f} to {spread[1]:+.3f}",
        "REGRESSION" if line["regression"] else "",
    )
