"""Slots: the words of a scene at the positions of visual tokens, which stand for images before there are any.

A slot is the sum of the embeddings of the words for what its cell shows, and of the vector of its place.

Shape letters: I images, N slots of an image, W words of a slot, D width of the language model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

from eaglebench.data.synthetic.cell_shares import compute_cell_shares, find_cells, find_cells_of_label
from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Scene
from eaglebench.data.synthetic.shapes import SIDE
from eaglebench.fusion.place import find_places
from eaglebench.language.base import LanguageModel
from eaglebench.language.places import embed_places
from eaglebench.model.eagle import EagleModel
from eaglebench.zoo.pretext import pad_ids

MAX_WORDS = 8  # W
ONCE = 0.5  # of the objects are in one slot only, as an expert may keep what it knows of an object in any of its cells
MIN_SCALE, MAX_SCALE = 0.5, 2.0  # factors of a slot's words in training
MAX_NOISE = 1.0  # in training, over the standard deviation of the embeddings


@dataclass(frozen=True)
class Layout:
    """How visual tokens lie on an image, as a fusion makes them.

    Attributes:
        side: cells along a side of the grid.
        copies: tokens of each cell: the experts of sequence append.
        interleaved: the tokens of a cell follow each other; otherwise one grid follows the other.
    """

    side: int
    copies: int = 1
    interleaved: bool = False

    @property
    def slots(self) -> int:
        """N, the number of visual tokens."""
        return self.copies * self.side**2


# How often the language model meets each: the default grid most, others so that no fusion is out of its experience.
LAYOUTS = {
    Layout(4): 10,
    Layout(6): 1,
    Layout(8): 1,
    Layout(4, 2): 2,
    Layout(4, 2, interleaved=True): 1,
    Layout(4, 3): 1,
}


class SlotModel(EagleModel):
    """The language model alone. Its `images` are word ids [I, N, W], padded with the pad token.

    In training, the sums of words are scaled and noisy, by other factors for each image. A projector gives no clean
    sum, nor zeros where there is nothing. A frozen model that knows only those would learn nothing from the first steps
    of an expert towards them.

    Attributes:
        offsets: of the vectors of the places of an image, [D, SIDE, SIDE] (see `embed_places`).
        layout: of the slots of the next images.
    """

    def __init__(self, language: LanguageModel) -> None:
        super().__init__({}, None, language)
        self.tokenizer = language.tokenizer
        self.offsets = nn.Parameter(torch.zeros(language.width, SIDE, SIDE))
        self.layout = Layout(4)

    def encode_images(self, images_I3SS: Tensor) -> Tensor:
        """The embeddings [I, N, D] of slots [I, N, W]."""
        embedded: Tensor = self.llm.get_input_embeddings()(images_I3SS)
        words_IND = sum_words(embedded, images_I3SS, self.pad_token_id)
        layout = self.layout
        table_DKK = embed_places(self.llm, self.tokenizer, self.offsets)
        places_ND = find_places(table_DKK, layout.side, layout.copies, layout.interleaved)
        if not self.training:
            return words_IND + places_ND
        scale, noise = torch.rand(2, len(words_IND), 1, 1, device=words_IND.device)
        factor = MIN_SCALE + (MAX_SCALE - MIN_SCALE) * scale
        deviation = MAX_NOISE * embedded.detach().std() * noise**2
        noisy_IND: Tensor = words_IND * factor + places_ND + deviation * torch.randn_like(words_IND)
        return noisy_IND


def sum_words(embedded_INWD: Tensor, ids_INW: Tensor, pad: int) -> Tensor:
    """The sums [I, N, D] of the embeddings of the words of each slot; `pad` is the id of no word."""
    words_IND: Tensor = (embedded_INWD * (ids_INW != pad).unsqueeze(-1)).sum(dim=2)
    return words_IND


def fill_slots(
    scene: Scene,
    layout: Layout,
    word_id: Callable[[str], int],
    pad: int,
    rng: Random,
    fields: bool = False,
) -> Tensor:
    """The word ids [N, W] of a scene's slots.

    Of several tokens of a cell, as of several experts, some know a word and others do not.

    Args:
        scene: the scene.
        layout: of the slots.
        word_id: gives the token of a word.
        pad: the id of no word.
        rng: source of randomness.
        fields: say in the cell of each digit of a form which field it belongs to.
    """
    shares = compute_cell_shares(scene, layout.side)
    rows: list[list[list[int]]] = [[[] for _ in range(layout.side**2)] for _ in range(layout.copies)]
    for mark, share in zip(scene.marks, shares, strict=True):
        cells = find_cells(share)
        if rng.random() < ONCE:
            cells = [rng.choice(cells)]
        named = [mark.field] if fields and mark.field else []
        for label in [*mark.ranked_labels, *named]:
            shown = find_cells_of_label(label, cells)
            knowing = rng.sample(range(layout.copies), rng.randint(1, layout.copies))
            for copy in knowing:
                for cell in shown:
                    rows[copy][cell].append(word_id(label.removeprefix(VALUE)))
    tokens = torch.tensor([[pad_ids(row, MAX_WORDS, pad) for row in grid] for grid in rows])
    slots: Tensor = (tokens.transpose(0, 1) if layout.interleaved else tokens).flatten(0, 1)
    return slots
