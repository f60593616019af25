"""Conversations as token ids: the chat templates, and labels built turn by turn."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile

from transformers import PreTrainedTokenizerBase

from eaglebench.data.control_tokens import ControlTokens
from eaglebench.data.sample import Sample
from eaglebench.utils.errors import UserError

IGNORE = -100  # label of tokens that are not predicted; transformers' losses ignore it
IMAGE = object()  # the segment that stands for the visual tokens


@dataclass(frozen=True)
class Template:
    """A chat template: the text around questions and answers.

    Attributes:
        first, later: text around the first question and around later ones; `{}` stands for the question.
        before_answer: text between a question and its answer; a target, like the answer.
        end: text after an answer; a target too, and where a generated answer ends.
        system: text before the first turn; `{}` stands for the system text. Empty for a template without one: a
            sample's system text is then a line before its first question.
        default_system: the system text of samples that have none; None: their conversations begin with the first turn.
        questions: whether questions are in the conversation; without them, it is the image and the answers, and has no
            system text.
    """

    first: str
    later: str
    before_answer: str
    end: str
    system: str = ""
    default_system: str | None = None
    questions: bool = True

    def segments(self, sample: Sample, answered: int | None = None) -> Iterator[tuple[str | object, bool]]:
        """Yield the segments of a conversation in order: text or `IMAGE`, and whether the segment is a target.

        Args:
            sample: the conversation.
            answered: index of a turn, from 0; the segments then stop before its answer, as a prompt for it.
        """
        system = self.default_system if sample.system is None else sample.system
        if self.system and system is not None:
            yield surround(self.system, system), False
        for index, turn in enumerate(sample.turns):
            question = turn.question
            if index == 0 and not self.system and system is not None:
                question = f"{system}\n{question}"
            opening, closing = (self.first if index == 0 else self.later).split("{}")
            yield opening, False
            if index == 0 and sample.image is not None:
                yield IMAGE, False
                if self.questions and question:
                    yield "\n", False
            if self.questions:
                yield question + closing, False
            if index == answered:
                return
            yield self.before_answer + turn.answer + self.end, True

    def mark(self, control: ControlTokens) -> "Template":
        """The template with its control tokens marked, so that those of its samples' texts do not count."""
        mark = control.mark
        return replace(
            self,
            first=mark(self.first),
            later=mark(self.later),
            before_answer=mark(self.before_answer),
            end=mark(self.end),
            system=mark(self.system),
        )

    @property
    def own_text(self) -> str:
        """All text that the template itself writes, but for the default system text."""
        return "\n".join((self.system, self.first, self.later, self.before_answer, self.end))


def surround(frame: str, text: str) -> str:
    """A text in the place of `{}` in a frame; neither is formatted otherwise."""
    before, after = frame.split("{}")
    return before + text + after


TEMPLATES = {
    # The tiny language model's own: two tokens per turn.
    "compact": Template(
        first="<|user|>{}<|assistant|>", later="<|user|>{}<|assistant|>", before_answer="", end="<|end|>"
    ),
    # Vicuna v1.5, the template of LLaVA-1.5 and Eagle.
    "vicuna_v1": Template(
        system="{}",
        default_system="A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions.",
        first=" USER: {} ASSISTANT:",
        later="USER: {} ASSISTANT:",
        before_answer=" ",
        end="</s>",
    ),
    # LLaVA-1.5's first stage: the image and its caption.
    "plain": Template(first="{}", later="{}", before_answer="", end="\n", questions=False),
    # ChatML, the template of Qwen2 and Yi.
    "chatml": Template(
        system="<|im_start|>system\n{}<|im_end|>\n",
        default_system="You are a helpful assistant.",
        first="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        later="\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        before_answer="",
        end="<|im_end|>",
    ),
    # Llama 3, which has no system text of its own.
    "llama3": Template(
        system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        first="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        later="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        before_answer="",
        end="<|eot_id|>",
    ),
}


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of one conversation, of equal length; `is_cut` where it is longer than the context."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    is_cut: bool = False


class ConversationEncoder:
    """Turns samples into token ids for one language model.

    Args:
        tokenizer: the language model's tokenizer.
        template: the chat template.
        image_token_id: the id that stands for a visual token.
        visual_tokens: N, the number of visual tokens per image.
        max_length: T, the context length in tokens; training conversations are truncated to it.

    Attributes:
        end_ids: the tokens that end a generated answer: the template's own, and the tokenizer's.
        end_text: the text that ends it, where the template's end is no control token of the tokenizer; None otherwise.

    Raises:
        UserError: the tokenizer is written in Python.
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
        self.control = ControlTokens(tokenizer, template.own_text)
        self.marked = template.mark(self.control)
        own_end = self.control.first_id(template.end)
        self.end_ids = tuple(dict.fromkeys(end for end in (own_end, tokenizer.eos_token_id) if end is not None))
        self.end_text = template.end if own_end is None else None
        self.template = template
        self.image_token_id = image_token_id
        self.visual_tokens = visual_tokens
        self.max_length = max_length

    def encode(self, sample: Sample) -> Encoded:
        """Encode a whole conversation for training. The targets are the answers and their end tokens.

        Raises:
            UserError: no target lies within `max_length`; the message names the sample.
        """
        ids, labels, is_cut = self.truncate(sample)
        if all(label == IGNORE for label in labels):
            raise UserError(
                f"sample {sample.id} has no target within the {self.max_length} tokens of llm.max_length: shorten it, "
                "or raise it."
            )
        return Encoded(tuple(ids), tuple(labels), is_cut)

    def has_target(self, sample: Sample) -> bool:
        """Whether a target lies within `max_length`."""
        return any(label != IGNORE for label in self.truncate(sample)[1])

    def truncate(self, sample: Sample) -> tuple[list[int], list[int], bool]:
        """Token ids and labels of the first `max_length` tokens of a conversation, and whether it has more."""
        ids, labels = self.tokenize(sample)
        return ids[: self.max_length], labels[: self.max_length], len(ids) > self.max_length

    def encode_prompt(self, sample: Sample, turn: int = 0) -> tuple[int, ...]:
        """Token ids up to the answer of turn `turn`; earlier turns have their reference answers."""
        return tuple(self.tokenize(sample, turn)[0])

    def tokenize(self, sample: Sample, answered: int | None = None) -> tuple[list[int], list[int]]:
        """Token ids and labels of a conversation.

        The text on either side of the visual tokens is tokenized whole, as LLaVA does: a SentencePiece tokenizer puts a
        space before each text. A token is a target where it starts in a target segment.

        Args:
            sample: the conversation.
            answered: index of a turn; the conversation then stops before its answer.
        """
        ids: list[int] = []
        labels: list[int] = []
        if (bos := self.tokenizer.bos_token_id) is not None:
            ids.append(bos)
            labels.append(IGNORE)
        text: list[tuple[str, bool]] = []
        for segment, target in self.marked.segments(sample, answered):
            if segment is IMAGE:
                self.append_text(text, ids, labels)
                text = []
                ids += [self.image_token_id] * self.visual_tokens
                labels += [IGNORE] * self.visual_tokens
            else:
                text.append((str(segment), target))
        self.append_text(text, ids, labels)
        return ids, labels

    def append_text(self, segments: Sequence[tuple[str, bool]], ids: list[int], labels: list[int]) -> None:
        """Append the token ids and labels of marked text that no visual tokens interrupt."""
        starts = [0, *accumulate(len(segment) for segment, _ in segments)]
        tokens, places = self.control.encode("".join(segment for segment, _ in segments))
        targets = [segments[bisect_right(starts[:-1], place) - 1][1] for place in places]
        ids += tokens
        labels += [token if target else IGNORE for token, target in zip(tokens, targets, strict=True)]

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The answer in generated token ids: the text before its end, without surrounding spaces."""
        answer = takewhile(lambda token: token not in self.end_ids, ids)
        text: str = self.tokenizer.decode(list(answer), skip_special_tokens=True)
        return (text if self.end_text is None else text.partition(self.end_text)[0]).strip()
