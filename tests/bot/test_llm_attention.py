"""Attention by plain products gives what torch's own attention gives."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, DynamicCache

from bot.llm.attention import grouped_attention, use_grouped_attention
from tests.tiny_model import save_tiny_model


@settings(max_examples=30, deadline=None)
@given(
    n_groups=st.integers(1, 3),
    n_per_group=st.integers(1, 3),
    n_rows=st.integers(1, 6),
    n_before=st.integers(0, 9),
)
def test_products_agree_with_torch(
    n_groups: int, n_per_group: int, n_rows: int, n_before: int
) -> None:
    n_seen, n_heads = n_before + n_rows, n_groups * n_per_group
    query = torch.randn(2, n_heads, n_rows, 8)
    key, value = torch.randn(2, 2, n_groups, n_seen, 8).unbind(0)
    allowed = torch.ones(n_rows, n_seen, dtype=torch.bool).tril(n_before)[None, None]
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=allowed, enable_gqa=True
    )
    added = torch.zeros(1, 1, n_rows, n_seen).masked_fill(~allowed, torch.finfo().min)
    found, _ = grouped_attention(torch.nn.Module(), query, key, value, added, scaling=8**-0.5)
    assert found.shape == (2, n_rows, n_heads, 8)
    assert torch.allclose(found.transpose(1, 2), expected, atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("attention"))


def test_a_model_reads_in_steps_alike(folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    quick = AutoModelForCausalLM.from_pretrained(folder).eval()
    use_grouped_attention(quick)
    ids = torch.arange(20).unsqueeze(0)
    cache = DynamicCache()
    with torch.inference_mode():
        quick(ids[:, :12], past_key_values=cache, use_cache=True)
        found = quick(ids[:, 12:], past_key_values=cache, use_cache=True).logits
        assert torch.allclose(found, plain(ids).logits[:, 12:], atol=1e-4)
