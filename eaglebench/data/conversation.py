"""Conversations as tokens: the chat templates, and labels built turn by turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from eaglebench.data.sample import Sample
from eaglebench.utils.errors import UserError

IGNORE = -100  # label of every token that is not to be predicted; what transformers' losses skip
IMAGE = object()  # where the visual tokens go


@dataclass(frozen=True)
class Template:
    """The text around questions and answers. `{}` stands for the question; the answer and `end` are what is learned.

    Without `questions`, a conversation is its image and its answers.
    """

    system: str
    first: str
    later: str
    before_answer: str
    end: str
    questions: bool = True

    def segments(self, sample: Sample, answered: int | None = None) -> Iterator[tuple[str | object, bool]]:
        """Pieces of the conversation in order, each with whether it is a target.

        With `answered`, the conversation stops before the answer of that turn (counted from 0): a prompt.
        """
        if self.system:
            yield self.system, False
        for index, turn in enumerate(sample.turns):
            opening, closing = (self.first if index == 0 else self.later).split("{}")
            yield opening, False
            if index == 0 and sample.image is not None:
                yield IMAGE, False
                if self.questions:
                    yield "\n", False
            if self.questions:
                yield turn.question + closing, False
            if index == answered:
                return
            yield self.before_answer + turn.answer + self.end, True


TEMPLATES = {
    # The tiny language model's own: two tokens a turn.
    "compact": Template(system="", first="<|user|>{}<|assistant|>", later="<|user|>{}<|assistant|>", before_answer="", end="<|end|>"),
    # Vicuna v1.5: the text that LLaVA-1.5 and Eagle use. Tokenised piece by piece, so a SentencePiece tokenizer may split the
    # space before an answer differently than in one go.
    "vicuna_v1": Template(
        system="A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions.",
        first=" USER: {} ASSISTANT:",
        later="USER: {} ASSISTANT:",
        before_answer=" ",
        end="</s>",
    ),
    # LLaVA-1.5's first stage: the image and its caption.
    "plain": Template(system="", first="{}", later="{}", before_answer="", end="\n", questions=False),
    # ChatML, as Qwen2 and Yi write it.
    "chatml": Template(
        system="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n",
        first="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        later="\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        before_answer="",
        end="<|im_end|>",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of one conversation; both of one length."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


class Encoder:
    """Turns samples into tokens for one language model.

    Args:
        tokenizer: the language model's.
        template: how a conversation is written.
        image_token_id: stands `visual_tokens` times where the image goes.
        visual_tokens: how many tokens the fusion gives for an image.
        max_length: tokens of text and image that a training sample may have; what lies beyond is cut.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        image_token_id: int,
        visual_tokens: int,
        max_length: int,
    ) -> None:
        self.tokenizer = tokenizer
        # The template's own pieces, and short questions, come again and again.
        self._tokenize = lru_cache(maxsize=50_000)(
            lambda piece: tuple(tokenizer(piece, add_special_tokens=False)["input_ids"])
        )
        self.template = template
        self.image_token_id = image_token_id
        self.visual_tokens = visual_tokens
        self.max_length = max_length

    def training(self, sample: Sample) -> Encoded:
        """The whole conversation; the labels are the answers and their end tokens.

        Raises:
            UserError: no target is left within `max_length`; names the sample.
        """
        ids, labels = self.cut(sample)
        if all(label == IGNORE for label in labels):
            raise UserError(
                f"sample {sample.id} has no target within the {self.max_length} tokens of llm.max_length: shorten it, or raise it."
            )
        return Encoded(tuple(ids), tuple(labels))

    def has_target(self, sample: Sample) -> bool:
        """Whether a target is left within `max_length`."""
        return any(label != IGNORE for label in self.cut(sample)[1])

    def cut(self, sample: Sample) -> tuple[list[int], list[int]]:
        """Ids and labels of the whole conversation, as far as they are within `max_length`."""
        ids, labels = self.tokens(sample)
        return ids[: self.max_length], labels[: self.max_length]

    def prompt(self, sample: Sample, turn: int = 0) -> tuple[int, ...]:
        """The tokens up to the answer of `turn`, earlier turns with their reference answers."""
        return tuple(self.tokens(sample, turn)[0])

    def tokens(self, sample: Sample, answered: int | None = None) -> tuple[list[int], list[int]]:
        """Ids and labels, piece by piece: a label can only ever come from its own piece of text."""
        ids: list[int] = []
        labels: list[int] = []
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is not None:
            ids.append(bos)
            labels.append(IGNORE)
        for piece, target in self.template.segments(sample, answered):
            if piece is IMAGE:
                new: Sequence[int] = [self.image_token_id] * self.visual_tokens
            else:
                new = self._tokenize(str(piece))
            ids += new
            labels += new if target else [IGNORE] * len(new)
        return ids, labels
