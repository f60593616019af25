"""lmms-eval's messages as a conversation, and its generation settings as limits; what a run cannot do is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eaglebench.data.open_image import ImageSource
from eaglebench.data.sample import Turn
from eaglebench.utils.errors import UserError

# Of sampling, or of how other models tile their images: without effect on the greedy answers of a run.
IGNORED = ("temperature", "do_sample", "top_p", "top_k", "seed", "image_aspect_ratio")
# What changes a greedy answer, with the value that does not.
NEUTRAL = {"num_beams": 1, "repetition_penalty": 1}


@dataclass(frozen=True)
class GenerationLimits:
    """Where a generated answer ends.

    Attributes:
        max_new_tokens: most tokens of the answer.
        until: texts before which the answer is cut.
    """

    max_new_tokens: int
    until: tuple[str, ...]

    def truncate(self, answer: str) -> str:
        """The answer up to the first of the texts that end it, without surrounding spaces."""
        for end in self.until:
            answer = answer.split(end)[0]
        return answer.strip()


def parse_generation(task: str, settings: Mapping[str, Any], max_new_tokens: int) -> GenerationLimits:
    """The limits in a task's generation settings.

    Args:
        task: its name, for messages.
        settings: lmms-eval's `gen_kwargs`.
        max_new_tokens: of tasks that set none.

    Raises:
        UserError: the task wants answers that are not greedy, or sets what a run cannot do.
    """
    if is_sampling(settings):
        raise UserError(f"{task} samples its answers, and those of a run are greedy: set gen_kwargs to temperature=0.")
    for key, value in settings.items():
        if key in NEUTRAL and value != NEUTRAL[key]:
            raise UserError(
                f"{task} asks for {key}={value}, which a run cannot do: set gen_kwargs to {key}={NEUTRAL[key]}."
            )
        if key not in (*IGNORED, *NEUTRAL, "max_new_tokens", "until"):
            raise UserError(f"{task} asks for {key}={value}, which a run cannot do: leave the task out.")
    until = settings.get("until") or ()
    ends = (until,) if isinstance(until, str) else tuple(until)
    return GenerationLimits(int(settings.get("max_new_tokens", max_new_tokens)), tuple(filter(None, ends)))


def is_sampling(settings: Mapping[str, Any]) -> bool:
    """Whether settings sample: with a temperature above 0, which is 1 if not given, unless `do_sample` is false."""
    default = 1.0 if settings.get("do_sample") else 0.0
    return bool(settings.get("do_sample", True)) and float(settings.get("temperature", default)) > 0


def parse_conversation(name: str, messages: Sequence[Mapping[str, Any]]) -> tuple[tuple[Turn, ...], ImageSource | None]:
    """The turns of a document's messages, the last one to be answered, and the image of the first turn, not yet opened.

    Args:
        name: of the document, for messages.
        messages: in the format of lmms-eval's chat interface; an image is one of Pillow, or the path of a file.

    Raises:
        UserError: the document has several images, other media, media in a later turn, or roles out of turn.
    """
    turns: list[Turn] = []
    images: list[Any] = []
    for index, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[index % 2]:
            raise UserError(
                f"{name} has a message of the {message['role']} where a run takes questions and answers in turn: "
                "leave the task out."
            )
        text = "\n".join(part["text"].strip() for part in message["content"] if part["type"] == "text").strip()
        media = [part for part in message["content"] if part["type"] != "text"]
        if message["role"] == "assistant":
            turns[-1] = Turn(turns[-1].question, text)
        else:
            turns.append(Turn(text, ""))
        images += media
        if media and index:
            raise UserError(
                f"{name} shows something in a later turn, and a run sees its image first: leave the task out."
            )
    if len(messages) % 2 == 0:
        raise UserError(f"{name} ends without a question: leave the task out.")
    if other_media := {str(part["type"]) for part in images} - {"image"}:
        raise UserError(
            f"{name} has {' and '.join(sorted(other_media))}, and a run sees images alone: leave the task out."
        )
    if len(images) > 1:
        raise UserError(f"{name} has {len(images)} images, and a run sees one: leave the task out.")
    return tuple(turns), images[0]["url"] if images else None
