"""Keras conventions that a faithful port to torch must keep: initial weights and transposed convolution."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-3
"""Keras' default epsilon of batch normalisation."""

_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a unit normal cut at two standard deviations; Keras divides by it."""

_GAIN = {"he_normal": 2.0, "lecun_normal": 1.0}


def initialise(
    layer: nn.Conv2d | nn.ConvTranspose2d, scheme: Literal["he_normal", "lecun_normal", "glorot_uniform"]
) -> None:
    """Draw a convolution's weights as Keras does and set its bias to zero.

    Parameters
    ----------
    layer
        Convolution, changed in place.
    scheme
        ``he_normal`` and ``lecun_normal`` are normals cut at two standard deviations with variance 2/fan_in and
        1/fan_in; ``glorot_uniform`` is uniform within sqrt(6/(fan_in + fan_out)).
    """
    kernel = layer.kernel_size[0] * layer.kernel_size[1]
    # Keras reads both fans from the kernel's last two axes, which a transposed convolution stores the other way.
    transposed = isinstance(layer, nn.ConvTranspose2d)
    fan_in, fan_out = layer.in_channels * kernel, layer.out_channels * kernel
    if transposed:
        fan_in, fan_out = fan_out, fan_in
    with torch.no_grad():
        if scheme == "glorot_uniform":
            limit = (6 / (fan_in + fan_out)) ** 0.5
            layer.weight.uniform_(-limit, limit)
        else:
            std = (_GAIN[scheme] / fan_in) ** 0.5 / _TRUNCATED_STD
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        if layer.bias is not None:
            layer.bias.zero_()


class UpConv2d(nn.ConvTranspose2d):
    """Keras ``Conv2DTranspose(kernel 3, stride 2, padding "same")``: doubles height and width.

    Output cell ``2 i + k`` receives input cell ``i`` times kernel entry ``k`` for k = 0, 1, 2, and the one cell
    beyond twice the input size is cut off. Torch's ``padding=1, output_padding=1`` is shifted by one cell.

    Computed as one ordinary 2x2 convolution that gives the four output phases as channels: on a CPU the transposed
    convolution itself takes several times as long.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, 2 h, 2 w)."""
        n, _, h, w = x.shape
        bias = None if self.bias is None else self.bias.repeat(4)
        phases = nn.functional.conv2d(x, self._phase_kernel(), bias, padding=1)[..., :-1, :-1]
        rows = phases.permute(0, 2, 3, 1).reshape(n, h, w, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        return rows.reshape(n, 2 * h, 2 * w, self.out_channels).permute(0, 3, 1, 2)

    def _phase_kernel(self) -> Tensor:
        # Output 2 i is w[2] x[i-1] + w[0] x[i]; output 2 i + 1 is w[1] x[i]. Entry 3 of the padded kernel is zero.
        taps = torch.tensor([[2, 0], [3, 1]], device=self.weight.device)
        padded = nn.functional.pad(self.weight, (0, 1, 0, 1))
        kernel = padded[:, :, taps][..., taps]  # (in, out, phase y, tap y, phase x, tap x)
        return kernel.permute(2, 4, 1, 0, 3, 5).reshape(4 * self.out_channels, self.in_channels, 2, 2)
