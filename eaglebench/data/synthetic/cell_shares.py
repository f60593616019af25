"""Which cells of a grid show which things of a scene."""

import numpy as np
from numpy.typing import NDArray

from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Scene

OBJECT_SHARE = 0.15  # a thing is in a cell that shows this share of it


def compute_cell_shares(scene: Scene, cells: int) -> NDArray[np.float64]:
    """The share of each cell that each object covers: [objects, cells, cells], in [0, 1]."""
    side = len(scene.regions)
    edges = np.arange(cells) * side // cells
    objects = np.arange(1, len(scene.marks) + 1)[:, None, None]
    covered = (scene.regions == objects).astype(np.int64)
    counts = np.add.reduceat(np.add.reduceat(covered, edges, axis=1), edges, axis=2)
    sizes = np.diff(np.append(edges, side))
    shares: NDArray[np.float64] = counts / np.outer(sizes, sizes)
    return shares


def find_cells(share: NDArray[np.float64]) -> list[int]:
    """The cells that a thing is in, row by row; at least one.

    Args:
        share: the share of each cell that it covers, [cells, cells].
    """
    flat = share.ravel()
    cells: list[int] = np.flatnonzero(flat >= OBJECT_SHARE * flat.sum()).tolist()
    return cells or [int(flat.argmax())]


def find_cells_of_label(label: str, cells: list[int]) -> list[int]:
    """Those of a thing's cells that show a label of it: a bar's value is at its end, everything else in all of them."""
    return cells[:1] if label.startswith(VALUE) else cells
