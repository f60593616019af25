"""What is where in a scene, in words: the captions of the synthetic world."""

from collections.abc import Sequence

from eaglebench.data.synthetic.cell_shares import compute_cell_shares, find_cells, find_cells_of_label
from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import COLOURS, Mark, Scene
from eaglebench.data.synthetic.shapes import PLACES, SIDE

SEPARATOR = "|"  # of the cells of `write_slots`


def write_transcription(scene: Scene) -> str:
    """Everything in a scene, each with its cell of a four by four board, in reading order.

    A board, a pile, a sign and a form give texts such as `a1 red star, b4 green circle`, `b2 largest red circle`,
    `a2 blue HUT` and `a3 total 47`.
    """
    pairs = [(mark, f"{mark.rank} {phrase}" if mark.rank else phrase) for mark, phrase in pair_phrases(scene.marks)]
    placed = sorted(((find_cell(mark, scene), phrase) for mark, phrase in pairs), key=lambda pair: pair[0])
    return ", ".join(f"{PLACES[cell]} {phrase}" for cell, phrase in placed)


def write_slots(scene: Scene) -> str:
    """The words of what each cell of a four by four board shows, row by row, with `SEPARATOR` between cells.

    The language model was pretrained on them in the places of visual tokens. A bar's value is at its top.
    """
    words: list[list[str]] = [[] for _ in PLACES]
    for mark, share in zip(scene.marks, compute_cell_shares(scene, SIDE), strict=True):
        cells = find_cells(share)
        for label in mark.ranked_labels:
            for cell in find_cells_of_label(label, cells):
                words[cell].append(label.removeprefix(VALUE))
    return SEPARATOR.join(map(" ".join, words))


def find_cell(mark: Mark, scene: Scene) -> int:
    """The index in `PLACES` of the cell that the centre of a thing lies in."""
    return find_cell_of_box([edge / scene.image.width for edge in mark.box])


def find_cell_of_box(box: Sequence[float]) -> int:
    """The index in `PLACES` of the cell that the centre of a box lies in; the box is over the side of the image."""
    left, top, right, bottom = (edge * SIDE for edge in box)
    column, row = (min(int((first + last) / 2), SIDE - 1) for first, last in ((left, right), (top, bottom)))
    return row * SIDE + column


def pair_phrases(marks: Sequence[Mark]) -> list[tuple[Mark, str]]:
    """A phrase for each thing, in their order: `red circle`. The digits of a form follow its field: `total 47`."""
    pairs: list[tuple[Mark, str]] = []
    for mark in marks:
        (first, *_) = labels = order_labels(mark)
        if first.isdigit():
            field, phrase = pairs[-1]
            pairs[-1] = field, phrase + (first if phrase[-1].isdigit() else f" {first}")
        else:
            pairs.append((mark, " ".join(labels)))
    return pairs


def order_labels(mark: Mark) -> list[str]:
    """The labels of one thing, its colour first."""
    labels = [label.removeprefix(VALUE) for label in mark.labels]
    return sorted(labels, key=lambda label: label not in COLOURS)
