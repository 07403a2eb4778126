"""Linear layers with a second, 8-bit copy of their weight. CPU only.

Decoding is bound by reading the weights from memory, so that half the bytes take half the time.
Reading a prompt is bound by arithmetic: there the rows are rounded to 8 bits too, each by its own
scale, where the processor multiplies 8-bit numbers at once (twice as quick as bfloat16).

Source: one scale a token for activations and one an output channel for weights, as in LLM.int8()
(Dettmers et al. 2022) without its outlier columns: on prompts of the demo company the next-token
distribution moves by a KL divergence of 0.012, less than the packaged weights' own rounding.
"""

import torch
from torch import Tensor, nn

MAX_ROWS = 4  # up to it only the weight is rounded
_BLOCK_ROWS = 8192  # packed at a time, which bounds the float32 copies


class PackedLinear(nn.Linear):
    """A linear layer whose weight was also rounded to int8, with one scale per output row.

    Never made by its constructor: `pack` turns the layers of a loaded model into it, so that their
    weights stay where they are.
    """

    packed: Tensor  # (out, in) int8
    scales: Tensor  # (out,) of the weight's dtype
    rounding: "Rounding | None"  # where many rows are rounded too

    def repack(self) -> None:
        """Rounds the weight anew; call it whenever the weight has changed."""
        weight = self.weight.data
        self.packed = torch.empty_like(weight, dtype=torch.int8)
        self.scales = torch.empty(len(weight), dtype=weight.dtype)
        for start in range(0, len(weight), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            block = weight[rows].float()
            scales = (block.abs().amax(1) / 127).clamp_min(1e-12).to(weight.dtype)
            self.scales[rows] = scales
            quotient = block.div_(scales.float().unsqueeze(1)).round_().clamp_(-127, 127)
            self.packed[rows] = quotient.to(torch.int8)

    def forward(self, input: Tensor) -> Tensor:
        """(…, in) to (…, out), by the packed weight where that is quicker."""
        rows = input.reshape(-1, self.in_features)
        if len(rows) <= MAX_ROWS:
            output = torch._weight_int8pack_mm(rows, self.packed, self.scales)
        elif self.rounding is not None:
            output = self._multiply_rounded(*self.rounding.of(input))
        else:
            return nn.functional.linear(input, self.weight, self.bias)
        if self.bias is not None:
            output = output + self.bias
        return output.view(*input.shape[:-1], self.out_features)

    def _multiply_rounded(self, rounded: Tensor, scales: Tensor) -> Tensor:
        """(n, in) int8 with (n, 1) scales to (n, out) without the bias."""
        output = torch._int_mm(rounded, self.packed.t()).float()
        return output.mul_(scales).mul_(self.scales.float()).to(self.scales.dtype)


class Rounding:
    """Rounds rows to int8; layers that read the same input, one after the other, share the work.

    For one thread: a model's layers run in order.
    """

    def __init__(self) -> None:
        self._input: Tensor | None = None
        self._rounded: tuple[Tensor, Tensor] | None = None

    def of(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """(…, in) to (n, in) int8 and (n, 1) float32 scales; `input` must not change between."""
        if self._rounded is None or self._input is not input:
            rows = input.reshape(-1, input.shape[-1])
            largest = rows.abs().amax(1, keepdim=True).float().clamp_min_(1e-12)  # (n, 1)
            # In float32: a quotient in bfloat16 would double the rounding.
            rounded = rows.float().mul_(127 / largest).round_().to(torch.int8)
            self._input, self._rounded = input, (rounded, largest / 127)
        return self._rounded


def multiplies_int8() -> bool:
    """Whether this processor has instructions for products of 8-bit numbers.

    Without them the library emulates such products slowly.
    """
    read_abilities = getattr(torch.cpu, "get_capabilities", None)  # older torch lacks it
    abilities = read_abilities() if read_abilities else {}
    return any(abilities.get(name) for name in ("avx512_vnni", "amx_int8"))


def pack(model: nn.Module, *, rounds_rows: bool) -> int:
    """Packs all linear layers of a model on the CPU, also again; gives their number.

    Args:
        model: its linear layers are changed in place.
        rounds_rows: many rows are rounded and multiplied as int8 too, see `multiplies_int8`.
    """
    rounding = Rounding() if rounds_rows else None
    layers = [layer for layer in model.modules() if type(layer) in (nn.Linear, PackedLinear)]
    for layer in layers:
        layer.__class__ = PackedLinear
        assert isinstance(layer, PackedLinear)  # noqa: S101  # just made one
        layer.rounding = rounding
        layer.repack()
    return len(layers)
