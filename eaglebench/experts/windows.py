"""Square windows of a map, for attention inside them.

Shape letters as in base.py; M side of a window in cells, n number of windows of a map.
"""

import torch.nn.functional as F
from torch import Tensor


def partition_windows(x_BHWC: Tensor, window: int) -> Tensor:
    """The windows [B * n, M, M, C] of a square map, row by row.

    The map is padded with zeros at the right and the bottom to a whole number of windows.
    """
    batch, grid, _, channels = x_BHWC.shape
    padding = -grid % window
    if padding:
        x_BHWC = F.pad(x_BHWC, (0, 0, 0, padding, 0, padding))
    across = (grid + padding) // window
    return (
        x_BHWC.view(batch, across, window, across, window, channels)
        .transpose(2, 3)
        .reshape(batch * across**2, window, window, channels)
    )


def merge_windows(windows_nMMC: Tensor, window: int, grid: int) -> Tensor:
    """The map [B, grid, grid, C] of its windows [B * n, M, M, C], without the padding."""
    across = -(-grid // window)
    x = windows_nMMC.view(-1, across, across, window, window, windows_nMMC.shape[-1]).transpose(2, 3)
    return x.reshape(len(x), across * window, across * window, -1)[:, :grid, :grid]
