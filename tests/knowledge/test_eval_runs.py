import pytest
from sqlalchemy import Engine

from knowledge.bootstrap import interval
from knowledge.eval_runs import EvalRun, EvalRunStore, compare


def report(hits: list[float]) -> dict[str, object]:
    mean = sum(hits) / len(hits)
    return {
        "stages": {"fused": {"all": {"n": len(hits), "hit_at_k": mean}}},
        "hits": {"fused": {"all": hits}},
    }


def add(engine: Engine, hits: list[float], *, sha256: str = "a") -> EvalRun:
    store = EvalRunStore(engine)
    number = store.add("questions.jsonl", sha256, settings={"top_k": 5}, report=report(hits))
    run = store.get(number)
    assert run is not None
    return run


def test_interval_holds_the_mean() -> None:
    low, high = interval([0.0, 1.0] * 50)
    assert 0.35 < low < 0.5 < high < 0.65
    assert interval([1.0] * 9) == (1.0, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_runs_are_kept_newest_first(engine: Engine) -> None:
    first, second = add(engine, [1.0]), add(engine, [0.0])
    assert [run.id for run in EvalRunStore(engine).list()] == [second.id, first.id]
    assert first.settings == {"top_k": 5}
    assert EvalRunStore(engine).get(999) is None


def test_loss_beyond_chance_is_a_regression(engine: Engine) -> None:
    before, after = add(engine, [1.0] * 40), add(engine, [0.0] * 20 + [1.0] * 20)
    (change,) = compare(before, after)
    assert (change.before, change.after, change.is_regression) == (1.0, 0.5, True)
    assert not compare(after, before)[0].is_regression


def test_small_loss_may_be_chance(engine: Engine) -> None:
    before, after = add(engine, [1.0] * 40), add(engine, [0.0] + [1.0] * 39)
    assert not compare(before, after)[0].is_regression


def test_other_questions_are_not_paired(engine: Engine) -> None:
    before, after = add(engine, [1.0] * 9), add(engine, [0.0] * 9, sha256="b")
    assert compare(before, after)[0].interval is None
