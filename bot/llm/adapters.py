"""Checks a LoRA adapter folder and merges it into a model in place.

An adapter that is left beside the weights slows every generation down a good deal, so it is added
to them; to take it out again, the base weights are read from disk. What can be said without the
model is checked in `bot.llm.adapter_files`.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from bot.errors import AdapterRejected
from bot.llm.adapter_files import LORA_KEY, TENSORS, check_features, read_adapter


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
    files = read_adapter(folder, base_name=base_name)
    file = folder / TENSORS
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise AdapterRejected(f"Cannot read {file}: {error}. Copy the adapter again.") from error
    _check_tensors(tensors, model)
    return Adapter(folder, files.id, frozenset(tensors))


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


def _check_tensors(tensors: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """Every tensor belongs to a linear layer of the model, fits it, and is finite."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    for name, tensor in tensors.items():
        match = LORA_KEY.fullmatch(name)
        layer = layers.get(match[1]) if match else None
        if layer is None:
            raise AdapterRejected(f"The adapter's tensor {name!r} fits no layer of the model.")
        check_features(name, tuple(tensor.shape), layer=(layer.in_features, layer.out_features))
        if not bool(tensor.isfinite().all()):
            raise AdapterRejected(
                f"The adapter's tensor {name!r} holds numbers that are not finite."
            )
