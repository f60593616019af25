"""The language model's pretext task: text about synthetic scenes, before it ever sees an image.

Some conversations start with a written description of the scene. In the others, the words lie where the objects are:
one slot per cell of a grid, at the positions of the visual tokens. A slot is the sum of the embeddings of the words for
what its cell shows.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from eaglebench.data.collate import Batch, Collator, Item
from eaglebench.data.conversation import TEMPLATES, ConversationEncoder
from eaglebench.data.sample import Sample, Turn
from eaglebench.data.synthetic.chart import VALUE
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.zoo.captions import has_board, name_cell, write_description
from eaglebench.zoo.pretext import Pretext, compute_cell_shares, pad_ids

SLOTS = Path("slots")  # in place of an image's path
MAX_WORDS = 8  # in a slot
OBJECT_SHARE = 0.15  # an object counts as being in a slot that shows this share of it
SLOT_SHARE = 0.6  # of the conversations have slots
ONCE = 0.5  # of the objects are in one slot only, as an expert may keep what it knows of an object in any of its cells
MIN_SCALE, MAX_SCALE = 0.5, 2.0  # factors of a slot's sum in training
MAX_NOISE = 1.0  # in training, over the standard deviation of the embeddings
ANSWER_LENGTH = 8  # tokens


class SlotModel(EagleModel):
    """The language model alone. Its `images` are word ids [I, N, MAX_WORDS], padded with the pad token.

    In training, the sums of embeddings are scaled and noisy, by other factors for each image. A projector gives no
    clean sum, nor zeros where there is nothing. A frozen model that knows only those would learn nothing from the first
    steps of an expert towards them.
    """

    def encode_images(self, images_I3SS: Tensor) -> Tensor:
        """The embeddings [I, N, D] of slots [I, N, MAX_WORDS]."""
        embedded: Tensor = self.llm.get_input_embeddings()(images_I3SS)
        clean_IND: Tensor = (embedded * (images_I3SS != self.pad_token_id).unsqueeze(-1)).sum(dim=2)
        if not self.training:
            return clean_IND
        deviation = embedded.detach().std()
        scale, noise = torch.rand(2, len(clean_IND), 1, 1, device=clean_IND.device)
        factor = MIN_SCALE + (MAX_SCALE - MIN_SCALE) * scale
        noisy_IND: Tensor = clean_IND * factor + MAX_NOISE * deviation * noise**2 * torch.randn_like(clean_IND)
        return noisy_IND


class Text(Pretext):
    """Questions about a scene that is given in words.

    Args:
        part: the language model.
        grid: side of the grid of slots.
    """

    outside_head = ("model",)
    metric = "share of questions about a scene in words that are answered exactly"

    def __init__(self, part: LanguageModel, grid: PositiveInt) -> None:
        super().__init__()
        self.language = part
        self.part = part.network
        self.grid = grid
        self.model = SlotModel({}, None, part)
        self.encoder = ConversationEncoder(
            part.tokenizer,
            TEMPLATES[part.template],
            part.image_token_id,
            visual_tokens=grid**2,
            max_length=part.max_length,
        )
        self.word_ids = cache(lambda word: part.tokenizer(word, add_special_tokens=False)["input_ids"])
        self.collator = Collator(part.tokenizer.pad_token_id)

    def make_item(self, scene: Scene, rng: Random) -> tuple[Item, Sample]:
        """The encoded conversation with its slots as the image, if it has some; and the conversation itself."""
        # Slots do not show areas, nor what covers what.
        answerable = [question for question in scene.questions if question.family != "area"]
        if answerable and rng.random() < SLOT_SHARE:
            sample, slots = Sample("", SLOTS, make_turns(first_half(answerable))), self.fill_slots(scene, rng)
        else:
            text = f"{write_description(scene, rng)}\n"
            sample, slots = Sample("", None, make_turns(first_half(scene.questions), text)), None
        return Item("", self.encoder.encode(sample), slots), sample

    def fill_slots(self, scene: Scene, rng: Random) -> Tensor:
        """The word ids [N, MAX_WORDS] of a scene's slots."""
        shares = compute_cell_shares(scene, self.grid).reshape(len(scene.marks), -1)
        rows: list[list[int]] = [[] for _ in range(self.grid**2)]
        for mark, share in zip(scene.marks, shares, strict=True):
            cells = np.flatnonzero(share >= OBJECT_SHARE * share.sum()).tolist() or [int(share.argmax())]
            if rng.random() < ONCE:
                cells = [rng.choice(cells)]
            for label in mark.all_labels:
                shown = cells[:1] if label.startswith(VALUE) else cells  # a bar's value is at the end of the bar
                for cell in shown:
                    rows[cell] += self.word_ids(label.removeprefix(VALUE))
            if has_board(scene):
                # An expert's map contains the position of each cell; a sum of words does not.
                for cell in cells:
                    rows[cell] += self.word_ids(name_cell(mark, scene))
        pad = self.language.tokenizer.pad_token_id
        return torch.tensor([pad_ids(row, MAX_WORDS, pad) for row in rows])

    def collate(self, items: Sequence[tuple[Item, Sample]]) -> Batch:
        return self.collator([item for item, _ in items])

    def forward(self, batch: Batch) -> Tensor:
        loss: Tensor = self.model(batch)
        return loss

    def score(self, groups: Iterable[Sequence[tuple[Item, Sample]]]) -> float:
        right: list[bool] = []
        for items in groups:
            prompts = [self.encoder.encode_prompt(sample) for _, sample in items]
            batch = self.collator.collate_prompts(prompts, [item.image for item, _ in items], [""] * len(items))
            tokens = self.model.generate(batch.to(self.language.network.device), ANSWER_LENGTH, self.encoder.end_ids)
            answers = map(self.encoder.decode_answer, tokens.tolist())
            references = [sample.turns[0].answer for _, sample in items]
            right += [text == answer for text, answer in zip(answers, references, strict=True)]
        return fmean(right)


def first_half(questions: Sequence[SceneQuestion]) -> Sequence[SceneQuestion]:
    """The first half of the questions, rounded up.

    If all were asked, the later answers would be those that are left over, and the model would not learn to look up.
    """
    return questions[: -(-len(questions) // 2)]


def make_turns(questions: Sequence[SceneQuestion], before: str = "") -> tuple[Turn, ...]:
    """The turns of a conversation with these questions; the text `before` precedes the first one."""
    texts = [before + questions[0].text, *(question.text for question in questions[1:])]
    return tuple(Turn(text, question.answer) for text, question in zip(texts, questions, strict=True))
