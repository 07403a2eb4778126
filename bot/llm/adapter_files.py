"""Checks a LoRA adapter folder by its files alone, without torch and without loading a model.

Only JSON and safetensors are read: a pickle could run code.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bot.errors import AdapterRejected

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
LORA_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_MAX_RANK = 512
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_TIED = "lm_head"  # has no weights of its own where they are those of the embedding


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A readable adapter folder; `shapes` are those of its tensors."""

    folder: Path
    sha256: str  # of the tensors' file
    base_model: str  # as its configuration names it, may be empty
    rank: int
    n_bytes: int
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def id(self) -> str:
        """Names the content: folder name and hash of the tensors; answers record it."""
        return f"{self.folder.resolve().name}@{self.sha256[:8]}"


def read_adapter(folder: Path, *, base_name: str | None) -> AdapterFiles:
    """Reads what PEFT's `save_pretrained` wrote, as far as that goes without the model.

    Args:
        folder: a PEFT folder.
        base_name: the base model's folder name or hub id; None where it is not known.

    Raises:
        AdapterRejected: what is wrong with it.
    """
    config = _read_config(folder)
    _check_config(config, base_name)
    file = folder / TENSORS
    pickles = sorted(path.name for path in folder.glob("*") if path.suffix in _PICKLES)
    if pickles or not file.is_file():
        raise AdapterRejected(
            f"Expected {TENSORS} and no pickled weights in {folder}, "
            f"found {', '.join(pickles) or 'no weights'}. Save the adapter as safetensors."
        )
    try:
        shapes = tensor_shapes(file)
        with file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        n_bytes = file.stat().st_size
    except (SafetensorError, OSError) as error:
        raise AdapterRejected(f"Cannot read {file}: {error}. Copy the adapter again.") from error
    if not any(LORA_KEY.fullmatch(name) for name in shapes):
        raise AdapterRejected(f"Expected LoRA tensors in {file}, found none.")
    base = str(config.get("base_model_name_or_path") or "")
    return AdapterFiles(folder, digest, base, config["r"], n_bytes, shapes)


def check_against_weights(adapter: AdapterFiles, weights: Path) -> None:
    """Compares the adapter's shapes with those in the weights' files.

    Says nothing where the files name their layers in another way; the model itself will.

    Raises:
        AdapterRejected: a tensor belongs to no layer, or has another size.
    """
    layers: dict[str, tuple[int, ...]] = {}
    try:
        for file in sorted(weights.glob("*.safetensors")):
            layers |= tensor_shapes(file)
    except (SafetensorError, OSError) as error:
        raise AdapterRejected(f"Cannot compare with the weights in {weights}: {error}") from error
    found = {name: LORA_KEY.fullmatch(name) for name in adapter.shapes}
    if not any(match and f"{match[1]}.weight" in layers for match in found.values()):
        return
    for name, match in found.items():
        layer = layers.get(f"{match[1]}.weight") if match else None
        if match is None or (layer is None and match[1] != _TIED):
            raise AdapterRejected(f"The adapter's tensor {name!r} fits no layer of the model.")
        if layer is not None:
            check_features(name, adapter.shapes[name], layer=(layer[1], layer[0]))


def check_features(name: str, shape: tuple[int, ...], *, layer: tuple[int, int]) -> None:
    """Makes sure that a LoRA tensor fits a layer of (inputs, outputs).

    Raises:
        AdapterRejected: it does not.
    """
    is_input = name.endswith(".lora_A.weight")
    expected = layer[0] if is_input else layer[1]
    found = shape[1 if is_input else 0] if len(shape) == 2 else None
    if found != expected:
        raise AdapterRejected(
            f"Expected {expected} features in the adapter's {name!r}, found shape {shape}."
        )


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes in a safetensors file; reads only its header."""
    with safe_open(file, framework="np") as tensors:
        names = tensors.keys()
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}


def _read_config(folder: Path) -> Mapping[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterRejected(
            f"Expected a PEFT adapter in {folder}, found no readable {CONFIG}. "
            "Name the folder that `save_pretrained` wrote."
        ) from error
    if not isinstance(config, dict):
        raise AdapterRejected(f"Expected a JSON object in {file}, found {type(config).__name__}.")
    return config


def _check_config(config: Mapping[str, Any], base_name: str | None) -> None:
    if config.get("peft_type") != "LORA":
        raise AdapterRejected(f"Expected a LORA adapter, found {config.get('peft_type')!r}.")
    rank = config.get("r")
    if not isinstance(rank, int) or not 1 <= rank <= _MAX_RANK:
        raise AdapterRejected(f"Expected a rank r from 1 to {_MAX_RANK}, found {rank!r}.")
    extra = [name for name in ("modules_to_save", "trainable_token_indices") if config.get(name)]
    if extra:
        raise AdapterRejected(f"Adapters with {' and '.join(extra)} are not supported.")
    recorded = str(config.get("base_model_name_or_path") or "")
    if recorded and base_name is not None and _plain(recorded) != _plain(base_name):
        raise AdapterRejected(
            f"The adapter was trained on {recorded!r}, but {base_name!r} is running. "
            "Use the adapter's base model or train it on this one."
        )


def _plain(name: str) -> str:
    """The last part of a path or hub id, without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower())
