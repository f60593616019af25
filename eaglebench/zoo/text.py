"""The language model's pretext task: text about synthetic scenes, before it ever sees an image.

Some conversations start with a written description of the scene. In the others, its words lie in slots, at the
positions of visual tokens (see `slots`); the answers are those to questions, or the whole transcription.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eaglebench.data.collate import Batch, Collator, Item
from eaglebench.data.conversation import TEMPLATES, ConversationEncoder
from eaglebench.data.sample import Sample, Turn
from eaglebench.data.synthetic.drawing import Scene, SceneQuestion
from eaglebench.data.synthetic.overlap import COVER
from eaglebench.data.synthetic.transcription import write_transcription
from eaglebench.language.base import LanguageModel
from eaglebench.language.tokenizer import word_id
from eaglebench.zoo.captions import write_description
from eaglebench.zoo.pretext import Pretext
from eaglebench.zoo.slots import LAYOUTS, Layout, SlotModel, fill_slots

SLOTS = Path("slots")  # in place of an image's path
SLOT_SHARE = 0.75  # of the conversations have slots
# Of the forms in training, their digits' cells name the field: so the model learns early to look a number up, and only
# then which row a cell is in.
FIELD_SHARE = 0.3
CAPTION_SHARE = 0.35  # of those with slots are transcriptions
ANSWER_LENGTH = 8  # tokens
CAPTION_LENGTH = 64
CAPTION = "transcription"  # their name among the families of questions


class TextItem(NamedTuple):
    """One conversation about a scene.

    Attributes:
        sample: the conversation.
        template: of its text.
        scene: what its slots show; None without slots.
        layout: of its slots; a batch takes that of its first item.
        rng: source of randomness of its slots.
    """

    sample: Sample
    template: str
    scene: Scene | None
    layout: Layout
    rng: Random


@dataclass(frozen=True)
class TextBatch:
    """A batch of conversations, and the layout of its slots."""

    batch: Batch
    layout: Layout

    def __len__(self) -> int:
        return len(self.batch)

    def to(self, device: torch.device | str) -> "TextBatch":
        """The batch on `device`."""
        return TextBatch(self.batch.to(device), self.layout)


class Places(nn.Module):
    """The offsets of the vectors of places that a language model was pretrained with: [D, SIDE, SIDE]."""

    def __init__(self, offsets: nn.Parameter) -> None:
        super().__init__()
        self.offsets = offsets


class Text(Pretext):
    """Questions about a scene that is given in words, and its transcription.

    Args:
        part: the language model.
    """

    outside_head = ("model",)
    metric = "share of questions about a scene in words that are answered exactly"

    def __init__(self, part: LanguageModel) -> None:
        super().__init__()
        self.language = part
        self.part = part.network
        self.model = SlotModel(part)
        self.places = Places(self.model.offsets)
        self.word_id = cache(partial(word_id, part.tokenizer))
        self.encoder = cache(self.build_encoder)
        self.collator = Collator(part.tokenizer.pad_token_id)

    def build_encoder(self, template: str, slots: int) -> ConversationEncoder:
        """What encodes conversations with so many slots."""
        part = self.language
        return ConversationEncoder(part.tokenizer, TEMPLATES[template], part.image_token_id, slots, part.max_length)

    def make_item(self, scene: Scene, rng: Random) -> TextItem:
        """A conversation about a scene, with slots or with a description."""
        (layout,) = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))
        # Slots do not show what covers what.
        answerable = [question for question in scene.questions if question.type != COVER]
        if rng.random() >= SLOT_SHARE:
            sample = Sample("", None, make_turns(first_half(scene.questions), f"{write_description(scene, rng)}\n"))
            return TextItem(sample, self.language.template, None, layout, rng)
        if not answerable or rng.random() < CAPTION_SHARE:
            sample = Sample("", SLOTS, (Turn("", write_transcription(scene), CAPTION),))
            return TextItem(sample, "plain", scene, layout, rng)
        return TextItem(
            Sample("", SLOTS, make_turns(first_half(answerable))), self.language.template, scene, layout, rng
        )

    def fill(self, items: Sequence[TextItem]) -> list[Tensor | None]:
        """The slots of each item in the layout of the first one; None without slots."""
        layout, pad = items[0].layout, self.language.tokenizer.pad_token_id
        return [
            None
            if item.scene is None
            else fill_slots(item.scene, layout, self.word_id, pad, item.rng, self.names_fields(item.rng))
            for item in items
        ]

    def names_fields(self, rng: Random) -> bool:
        """Whether the digits of a form say which field they belong to; never where a score is measured."""
        return self.training and rng.random() < FIELD_SHARE

    def collate(self, items: Sequence[TextItem]) -> TextBatch:
        layout = items[0].layout
        encoded = [self.encoder(item.template, layout.slots).encode(item.sample) for item in items]
        slots = self.fill(items)
        return TextBatch(self.collator([Item("", *pair) for pair in zip(encoded, slots, strict=True)]), layout)

    def forward(self, batch: TextBatch) -> Tensor:
        self.model.layout = batch.layout
        loss: Tensor = self.model(batch.batch)
        return loss

    def score(self, groups: Iterable[Sequence[TextItem]]) -> float:
        return self.measure(groups)[0]

    def measure(self, groups: Iterable[Sequence[TextItem]]) -> tuple[float, dict[str, float]]:
        right = self.answer(groups)
        score = fmean(one for family, found in right.items() if family != CAPTION for one in found)
        return score, {family: fmean(found) for family, found in sorted(right.items())}

    def answer(self, groups: Iterable[Sequence[TextItem]]) -> Mapping[str, list[bool]]:
        """Whether the first answer of each item is exact, by family of questions."""
        right: dict[str, list[bool]] = defaultdict(list)
        for group in groups:
            for template, length in ((self.language.template, ANSWER_LENGTH), ("plain", CAPTION_LENGTH)):
                items = [item for item in group if item.template == template]
                for item, text in zip(items, self.generate(items, template, length), strict=True):
                    (turn, *_) = item.sample.turns
                    right[str(turn.family)].append(text == turn.answer)
        return right

    def generate(self, items: Sequence[TextItem], template: str, length: int) -> list[str]:
        """The first answers to items of one template, of so many tokens at most."""
        if not items:
            return []
        self.model.layout = items[0].layout
        encoder = self.encoder(template, items[0].layout.slots)
        prompts = [encoder.encode_prompt(item.sample) for item in items]
        batch = self.collator.collate_prompts(prompts, self.fill(items), [""] * len(items))
        tokens = self.model.generate(batch.to(self.language.network.device), length, encoder.end_ids)
        return [encoder.decode_answer(ids) for ids in tokens.tolist()]


def first_half(questions: Sequence[SceneQuestion]) -> Sequence[SceneQuestion]:
    """The first half of the questions, rounded up.

    If all were asked, the later answers would be those that are left over, and the model would not learn to look up.
    """
    return questions[: -(-len(questions) // 2)]


def make_turns(questions: Sequence[SceneQuestion], before: str = "") -> tuple[Turn, ...]:
    """The turns of a conversation with these questions; the text `before` precedes the first one."""
    texts = [before + questions[0].text, *(question.text for question in questions[1:])]
    return tuple(Turn(text, question.answer, question.family) for text, question in zip(texts, questions, strict=True))
