"""Linear layers with a second, 8-bit copy of their weight for the few rows of a decoding step.

Decoding is bound by reading the weights from memory, so that half the bytes take half the time;
prefill is bound by arithmetic and keeps the full weight. CPU only.
"""

import torch
from torch import Tensor, nn

MAX_ROWS = 4  # above it the full weight is quicker
_BLOCK_ROWS = 8192  # packed at a time, which bounds the float32 copies


class PackedLinear(nn.Linear):
    """A linear layer whose weight was also rounded to int8, with one scale per output row.

    Never made by its constructor: `pack` turns the layers of a loaded model into it, so that their
    weights stay where they are.
    """

    packed: Tensor  # (out, in) int8
    scales: Tensor  # (out,) of the weight's dtype

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
        """(…, in) to (…, out), by the packed weight for at most four rows."""
        rows = input.reshape(-1, self.in_features)
        if len(rows) > MAX_ROWS:
            return nn.functional.linear(input, self.weight, self.bias)
        output = torch._weight_int8pack_mm(rows, self.packed, self.scales)
        if self.bias is not None:
            output = output + self.bias
        return output.view(*input.shape[:-1], self.out_features)


def pack(model: nn.Module) -> int:
    """Packs all linear layers of a model on the CPU, also again; gives their number."""
    layers = [layer for layer in model.modules() if type(layer) in (nn.Linear, PackedLinear)]
    for layer in layers:
        layer.__class__ = PackedLinear
        assert isinstance(layer, PackedLinear)  # noqa: S101  # just made one
        layer.repack()
    return len(layers)
