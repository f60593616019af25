"""Conversations as token ids: the chat templates, and labels built turn by turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from eaglebench.data.sample import Sample
from eaglebench.utils.errors import UserError

IGNORE = -100  # label of tokens that are not predicted; transformers' losses ignore it
IMAGE = object()  # the segment that stands for the visual tokens


@dataclass(frozen=True)
class Template:
    """A chat template: the text around questions and answers.

    Attributes:
        system: text before the first turn.
        first, later: text around the first question and around later ones; `{}` stands for the question.
        before_answer: text between a question and its answer; a target, like the answer.
        end: text after an answer; a target too.
        questions: whether questions are in the conversation; without them, it is the image and the answers.
    """

    system: str
    first: str
    later: str
    before_answer: str
    end: str
    questions: bool = True

    def segments(self, sample: Sample, answered: int | None = None) -> Iterator[tuple[str | object, bool]]:
        """Yield the segments of a conversation in order: text or `IMAGE`, and whether the segment is a target.

        Args:
            sample: the conversation.
            answered: index of a turn, from 0; the segments then stop before its answer, as a prompt for it.
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
    # The tiny language model's own: two tokens per turn.
    "compact": Template(
        system="",
        first="<|user|>{}<|assistant|>",
        later="<|user|>{}<|assistant|>",
        before_answer="",
        end="<|end|>",
    ),
    # Vicuna v1.5, the template of LLaVA-1.5 and Eagle. Segments are tokenized one by one, so a SentencePiece tokenizer
    # may split the space before an answer differently than in the whole text.
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
    # ChatML, the template of Qwen2 and Yi.
    "chatml": Template(
        system="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n",
        first="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        later="\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        before_answer="",
        end="<|im_end|>",
    ),
}


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of one conversation, of equal length."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


class ConversationEncoder:
    """Turns samples into token ids for one language model.

    Args:
        tokenizer: the language model's tokenizer.
        template: the chat template.
        image_token_id: the id that stands for a visual token.
        visual_tokens: N, the number of visual tokens per image.
        max_length: T, the context length in tokens; training conversations are truncated to it.
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
        # Cached: the template's own segments and short questions recur.
        self._tokenize = lru_cache(maxsize=50_000)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        )
        self.template = template
        self.image_token_id = image_token_id
        self.visual_tokens = visual_tokens
        self.max_length = max_length

    def encode(self, sample: Sample) -> Encoded:
        """Encode a whole conversation for training. The targets are the answers and their end tokens.

        Raises:
            UserError: no target lies within `max_length`; the message names the sample.
        """
        ids, labels = self.truncate(sample)
        if all(label == IGNORE for label in labels):
            raise UserError(
                f"sample {sample.id} has no target within the {self.max_length} tokens of llm.max_length: shorten it, "
                "or raise it."
            )
        return Encoded(tuple(ids), tuple(labels))

    def has_target(self, sample: Sample) -> bool:
        """Whether a target lies within `max_length`."""
        return any(label != IGNORE for label in self.truncate(sample)[1])

    def truncate(self, sample: Sample) -> tuple[list[int], list[int]]:
        """Token ids and labels of the first `max_length` tokens of a conversation."""
        ids, labels = self.tokenize(sample)
        return ids[: self.max_length], labels[: self.max_length]

    def encode_prompt(self, sample: Sample, turn: int = 0) -> tuple[int, ...]:
        """Token ids up to the answer of turn `turn`; earlier turns have their reference answers."""
        return tuple(self.tokenize(sample, turn)[0])

    def tokenize(self, sample: Sample, answered: int | None = None) -> tuple[list[int], list[int]]:
        """Token ids and labels of a conversation, segment by segment, so that a label never leaves its own segment.

        Args:
            sample: the conversation.
            answered: index of a turn; the conversation then stops before its answer.
        """
        ids: list[int] = []
        labels: list[int] = []
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is not None:
            ids.append(bos)
            labels.append(IGNORE)
        for segment, target in self.template.segments(sample, answered):
            if segment is IMAGE:
                new: Sequence[int] = [self.image_token_id] * self.visual_tokens
            else:
                new = self._tokenize(str(segment))
            ids += new
            labels += new if target else [IGNORE] * len(new)
        return ids, labels
