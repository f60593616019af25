"""The language model's pretext task: text of the synthetic world, before it ever sees an image.

Some conversations begin with a description in words. In the others the words lie where the things are: one slot for each
cell of a grid, in the places of the visual tokens, and in each slot the sum of the embeddings of the words for what is there.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from eaglebench.data.collate import Batch, Collator, Item
from eaglebench.data.conversation import TEMPLATES, Encoder
from eaglebench.data.sample import Sample, Turn
from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Picture, Question
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.zoo.captions import description, on_board, place
from eaglebench.zoo.pretext import Pretext, cell_shares, padded

SLOTS = Path("slots")  # in the place of an image
WORDS = 8  # in a slot, at most
SHARE = 0.15  # of a thing's own area, from which on it counts as being in a slot
SLOTTED = 0.6  # of the conversations
ONCE = 0.5  # of the things are in one slot only: where an expert keeps what it knows of a thing is its own affair
LEAST, MOST = 0.5, 2.0  # times the sum of a slot, in training
NOISE = 1.0  # at most, of the deviation of an embedding, in training
ANSWER_LENGTH = 8


class Slots(EagleModel):
    """The language model alone; its `images` are word ids [I, N, WORDS], padded with the pad token.

    In training the sums of embeddings are scaled and drowned in noise, by another measure for each picture: what a projector gives
    is never a clean sum, nor nothing where there is nothing, and a frozen model that cannot bear that has no use for an expert's
    first steps towards it.
    """

    def visual_tokens(self, images_I3SS: Tensor) -> Tensor:
        embedded = self.llm.get_input_embeddings()(images_I3SS)
        clean_IND = (embedded * (images_I3SS != self.pad_token_id).unsqueeze(-1)).sum(dim=2)
        if not self.training:
            return clean_IND
        typical = embedded.detach().std()
        scale, noise = torch.rand(2, len(clean_IND), 1, 1, device=clean_IND.device)
        return clean_IND * (LEAST + (MOST - LEAST) * scale) + NOISE * typical * noise**2 * torch.randn_like(clean_IND)


class Text(Pretext):
    """Questions about a picture that is given in words.

    Args:
        part: the language model.
        grid: side of the grid of slots.
    """

    beside = ("model",)
    metric = "share of questions about a picture in words that are answered exactly"

    def __init__(self, part: LanguageModel, grid: int) -> None:
        super().__init__()
        self.language = part
        self.part = part.network
        self.grid = grid
        self.model = Slots({}, None, part)
        self.encoder = Encoder(
            part.tokenizer,
            TEMPLATES[part.template],
            part.image_token_id,
            visual_tokens=grid**2,
            max_length=part.max_length,
        )
        self.word_ids = cache(lambda word: part.tokenizer(word, add_special_tokens=False)["input_ids"])
        self.collator = Collator(part.tokenizer.pad_token_id)

    def item(self, picture: Picture, rng: Random) -> tuple[Item, Sample]:
        # Areas, and what covers what, are not to be seen in slots.
        seen = [question for question in picture.questions if question.family != "area"]
        if seen and rng.random() < SLOTTED:
            sample, slots = Sample("", SLOTS, turns(some(seen))), self.slots(picture, rng)
        else:
            told = f"{description(picture, rng)}\n"
            sample, slots = Sample("", None, turns(some(picture.questions), told)), None
        return Item("", self.encoder.training(sample), slots), sample

    def slots(self, picture: Picture, rng: Random) -> Tensor:
        """Word ids [N, WORDS] of one picture."""
        shares = cell_shares(picture, self.grid).reshape(len(picture.marks), -1)
        rows: list[list[int]] = [[] for _ in range(self.grid**2)]
        for mark, share in zip(picture.marks, shares, strict=True):
            cells = np.flatnonzero(share >= SHARE * share.sum()).tolist() or [int(share.argmax())]
            if rng.random() < ONCE:
                cells = [rng.choice(cells)]
            for label in mark.told:
                shown = cells[:1] if label.startswith(VALUE) else cells  # a bar's value is where the bar ends
                for cell in shown:
                    rows[cell] += self.word_ids(label.removeprefix(VALUE))
            if on_board(picture):
                # An expert's map knows where it is; a sum of words does not.
                for cell in cells:
                    rows[cell] += self.word_ids(place(mark, picture))
        pad = self.language.tokenizer.pad_token_id
        return torch.tensor([padded(row, WORDS, pad) for row in rows])

    def collate(self, items: Sequence[tuple[Item, Sample]]) -> Batch:
        return self.collator([item for item, _ in items])

    def forward(self, batch: Batch) -> Tensor:
        return self.model(batch)

    def score(self, groups: Iterable[Sequence[tuple[Item, Sample]]]) -> float:
        right: list[bool] = []
        for items in groups:
            prompts = [self.encoder.prompt(sample) for _, sample in items]
            asked = self.collator.prompts(prompts, [item.image for item, _ in items], [""] * len(items))
            tokens = self.model.generate(asked.to(self.language.network.device), ANSWER_LENGTH)
            given = self.language.tokenizer.batch_decode(tokens, skip_special_tokens=True)
            right += [text.strip() == sample.turns[0].answer for text, (_, sample) in zip(given, items, strict=True)]
        return fmean(right)


def some(asked: Sequence[Question]) -> Sequence[Question]:
    """The first half of the questions: where all are asked, the later answers are those that are left over, and looking up is
    not learned."""
    return asked[: -(-len(asked) // 2)]


def turns(asked: Sequence[Question], before: str = "") -> tuple[Turn, ...]:
    """The conversation of some questions, with a text before the first one."""
    texts = [before + asked[0].text, *(question.text for question in asked[1:])]
    return tuple(Turn(text, question.answer) for text, question in zip(texts, asked, strict=True))
