import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedding import MAX_INPUT_TOKENS, Embedder, is_chinese, load_embedder
from knowledge.errors import EmbedderUnavailable
from knowledge.uploads import UploadFolder
from tests.contracts import EMBEDDER_CHECKS
from tests.fakes import FakeEmbedder

Check = Callable[[Embedder], None]


@pytest.fixture(scope="module")
def packaged() -> Embedder:
    return load_embedder("packaged", device="cpu")


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__)
def test_fake_embedder_keeps_the_contract(check: Check) -> None:
    check(FakeEmbedder())


@pytest.mark.slow
@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__)
def test_packaged_embedder_keeps_the_contract(check: Check, packaged: Embedder) -> None:
    check(packaged)


@pytest.mark.slow
def test_packaged_embedder_tells_questions_from_passages(packaged: Embedder) -> None:
    texts = ["How long is the warranty?", "保修多久？"]
    queries, passages = packaged.embed_queries(texts), packaged.embed_passages(texts)
    assert not np.allclose(queries, passages)
    assert (np.diag(queries @ passages.T) > 0.5).all()


@pytest.mark.slow
def test_packaged_embedder_is_centered(packaged: Embedder) -> None:
    texts = [
        "水壶需要定期除垢。",
        "We are closed on Mondays.",
        "退款会原路退回。",
        "Oil the chain.",
    ]
    vectors = packaged.embed_passages(texts)
    assert packaged.id.endswith("-centered")
    assert (vectors @ vectors.T - np.eye(len(texts))).max() < 0.6  # the raw weights give 0.7 to 0.9


@pytest.mark.slow
def test_packaged_embedder_crosses_languages(packaged: Embedder) -> None:
    passages = [
        "退款会在五个工作日内原路退回。",
        "我们的门店周末不营业。",
        "水壶需要定期除垢。",
        "Our shop is closed on weekends.",
        "Descale the kettle regularly.",
    ]
    scores = packaged.embed_passages(passages) @ packaged.embed_queries(["When is my refund?"])[0]
    assert scores.argmax() == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HG-K1702 电热水壶", True),
        ("退款 refund", True),
        ("Our shop in 杭州 is closed on Mondays and open on all other days", False),
        ("E3", False),
        ("", False),
        ("123 🤷", False),
    ],
)
def test_language_is_decided_by_share(text: str, expected: bool) -> None:
    assert is_chinese(text) is expected


@pytest.mark.slow
def test_long_input_is_cut_before_the_model(packaged: Embedder) -> None:
    text = "warranty " * 3000
    assert packaged.count_tokens(text) > MAX_INPUT_TOKENS
    start = time.perf_counter()
    assert np.isfinite(packaged.embed_passages([text])).all()
    assert time.perf_counter() - start < 20


@pytest.mark.slow
def test_missing_model_says_what_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EmbedderUnavailable, match="KEFU_KNOWLEDGE__EMBEDDER"):
        load_embedder(str(tmp_path / "nothing"), device="cpu")


def test_importing_embedding_and_retrieval_is_light() -> None:
    code = (
        "import sys, knowledge.embedding, knowledge.store, knowledge.ingestion, knowledge.jobs;"
        "heavy = {'torch', 'faiss', 'jieba', 'sentence_transformers'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_upload_is_stored_once_and_whole(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path / "uploads")
    sha256 = folder.store(b"content")
    assert folder.store(b"content") == sha256
    assert folder.read(sha256) == b"content"
    (tmp_path / "uploads" / sha256).write_bytes(b"cont")
    assert folder.store(b"content") == sha256
    assert folder.read(sha256) == b"content"
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [sha256]
    with pytest.raises(FileNotFoundError):
        folder.read("0" * 64)
