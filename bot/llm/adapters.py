"""Checks a LoRA adapter folder and merges it into a model in place.

An adapter that is left beside the weights slows every generation down a good deal, so it is added
to them; to take it out again, the base weights are read from disk. Only JSON and safetensors are
read: a pickle could run code.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from bot.errors import AdapterRejected

_MAX_RANK = 512
_LORA_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checked adapter folder; `id` names its content: folder name and hash of the tensors."""

    folder: Path
    id: str
    tensors: frozenset[str]  # their names


def check_adapter(folder: Path, model: nn.Module, *, base_name: str) -> Adapter:
    """Makes sure that the adapter in `folder` fits `model`, without changing anything.

    Args:
        folder: what PEFT's `save_pretrained` wrote.
        model: the base model, without an adapter.
        base_name: the base model's folder name or hub id, as in the adapter's configuration.

    Raises:
        AdapterRejected: what is wrong with it.
    """
    config = _read_config(folder)
    _check_config(config, base_name)
    file = folder / "adapter_model.safetensors"
    pickles = [path.name for path in folder.glob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    if pickles or not file.is_file():
        raise AdapterRejected(
            f"Expected adapter_model.safetensors and no pickled weights in {folder}, "
            f"found {', '.join(pickles) or 'no weights'}. Save the adapter as safetensors."
        )
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise AdapterRejected(f"Cannot read {file}: {error}. Copy the adapter again.") from error
    _check_tensors(tensors, model)
    with file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return Adapter(folder, f"{folder.resolve().name}@{digest[:8]}", frozenset(tensors))


def merge(adapter: Adapter, model: nn.Module) -> None:
    """Adds the adapter's weights to those of `model`, in place.

    Raises:
        AdapterRejected: PEFT cannot apply it; the weights must then be restored.
    """
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's advice on configurations, checked by us
            adapted = PeftModel.from_pretrained(model, str(adapter.folder))
            used = {name.replace(".default.", ".") for name, _ in adapted.named_parameters()}
            unused = adapter.tensors - used
            adapted.merge_and_unload()
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise AdapterRejected(f"Cannot apply the adapter {adapter.id}: {error}") from error
    finally:
        if hasattr(model, "peft_config"):
            del model.peft_config
    if unused:
        raise AdapterRejected(
            f"The adapter's target_modules leave out its own tensor {min(unused)!r}. "
            "Correct its adapter_config.json."
        )


def restore(model: nn.Module, folder: Path) -> None:
    """Copies the base weights in `folder` back into `model`, tensor by tensor."""
    with torch.no_grad():
        targets: dict[str, torch.Tensor] = dict(model.state_dict(keep_vars=True))
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118  # not a dict
                    if name in targets:
                        targets[name].copy_(tensors.get_tensor(name))


def _read_config(folder: Path) -> Mapping[str, Any]:
    file = folder / "adapter_config.json"
    try:
        config = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterRejected(
            f"Expected a PEFT adapter in {folder}, found no readable adapter_config.json. "
            "Name the folder that `save_pretrained` wrote."
        ) from error
    if not isinstance(config, dict):
        raise AdapterRejected(f"Expected a JSON object in {file}, found {type(config).__name__}.")
    return config


def _check_config(config: Mapping[str, Any], base_name: str) -> None:
    if config.get("peft_type") != "LORA":
        raise AdapterRejected(f"Expected a LORA adapter, found {config.get('peft_type')!r}.")
    rank = config.get("r")
    if not isinstance(rank, int) or not 1 <= rank <= _MAX_RANK:
        raise AdapterRejected(f"Expected a rank r from 1 to {_MAX_RANK}, found {rank!r}.")
    extra = [name for name in ("modules_to_save", "trainable_token_indices") if config.get(name)]
    if extra:
        raise AdapterRejected(f"Adapters with {' and '.join(extra)} are not supported.")
    recorded = str(config.get("base_model_name_or_path") or "")
    if recorded and _plain(recorded) != _plain(base_name):
        raise AdapterRejected(
            f"The adapter was trained on {recorded!r}, but {base_name!r} is running. "
            "Use the adapter's base model or train it on this one."
        )


def _plain(name: str) -> str:
    """The last part of a path or hub id, without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower())


def _check_tensors(tensors: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """Every tensor belongs to a linear layer of the model, fits it, and is finite."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    if not tensors:
        raise AdapterRejected("Expected LoRA tensors in the adapter, found none.")
    for name, tensor in tensors.items():
        match = _LORA_KEY.fullmatch(name)
        layer = layers.get(match[1]) if match else None
        if match is None or layer is None:
            raise AdapterRejected(f"The adapter's tensor {name!r} fits no layer of the model.")
        side, shape = match[2], tuple(tensor.shape)
        expected = layer.in_features if side == "A" else layer.out_features
        found = shape[1 if side == "A" else 0] if len(shape) == 2 else None
        if found != expected:
            raise AdapterRejected(
                f"Expected {expected} features in the adapter's {name!r}, found shape {shape}."
            )
        if not bool(tensor.isfinite().all()):
            raise AdapterRejected(
                f"The adapter's tensor {name!r} holds numbers that are not finite."
            )
