import numpy as np
import pytest

from bot.classifiers.english import load_english


@pytest.mark.slow
def test_packaged_encoder_knows_what_words_mean() -> None:
    encoder = load_english()
    refund, money, weather = encoder.embed_queries(
        ["I want a refund", "please give my money back", "will it rain tomorrow"]
    )
    assert encoder.dim == 384
    assert refund @ money > refund @ weather + 0.2
    np.testing.assert_allclose(np.linalg.norm(refund), 1.0, atol=1e-5)


@pytest.mark.slow
def test_packaged_encoder_reads_the_same_in_a_batch() -> None:
    encoder = load_english()
    texts = ["", "hello", "where is my order, it has been two weeks " * 40]
    together = encoder.embed_queries(texts)
    alone = np.concatenate([encoder.embed_queries([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert encoder.count_tokens("where is my order") == 4
