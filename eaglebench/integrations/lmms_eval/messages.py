"""lmms-eval's messages and settings of generation as a conversation and a length. What a run cannot do is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from eaglebench.data.sample import Turn
from eaglebench.utils.errors import UserError

# Of sampling, or of how other models cut their images: no part in greedy answers of a run.
UNUSED = ("temperature", "do_sample", "top_p", "top_k", "seed", "image_aspect_ratio")
# What changes a greedy answer, with the value that does not.
NEUTRAL = {"num_beams": 1, "repetition_penalty": 1}


@dataclass(frozen=True)
class Generation:
    """How long an answer may be in tokens, and the texts that end it."""

    max_new_tokens: int
    until: tuple[str, ...]

    def cut(self, answer: str) -> str:
        """The answer up to the first of the texts that end it."""
        for end in self.until:
            answer = answer.split(end)[0]
        return answer.strip()


def generation(task: str, asked: Mapping[str, Any], max_new_tokens: int) -> Generation:
    """The settings of a task's answers, `max_new_tokens` where it does not say.

    Raises:
        UserError: it asks for something else than greedy answers.
    """
    if samples(asked):
        raise UserError(f"{task} samples its answers, and those of a run are greedy: set gen_kwargs to temperature=0.")
    for key, value in asked.items():
        if key in NEUTRAL and value != NEUTRAL[key]:
            raise UserError(
                f"{task} asks for {key}={value}, which a run cannot do: set gen_kwargs to {key}={NEUTRAL[key]}."
            )
        if key not in (*UNUSED, *NEUTRAL, "max_new_tokens", "until"):
            raise UserError(f"{task} asks for {key}={value}, which a run cannot do: leave the task out.")
    until = asked.get("until") or ()
    ends = (until,) if isinstance(until, str) else tuple(until)
    return Generation(int(asked.get("max_new_tokens", max_new_tokens)), tuple(filter(None, ends)))


def samples(asked: Mapping[str, Any]) -> bool:
    """Whether a task wants answers drawn at random: a temperature counts unless `do_sample` is false, 1 if it is true."""
    usual = 1.0 if asked.get("do_sample") else 0.0
    return asked.get("do_sample", True) and float(asked.get("temperature", usual)) > 0


def conversation(name: str, messages: Sequence[Mapping[str, Any]]) -> tuple[tuple[Turn, ...], Image.Image | None]:
    """The turns of a document's messages, the last one to be answered, and its image; runs put it before the first question.

    Raises:
        UserError: there is more in it than a run can be shown; names the document.
    """
    turns: list[Turn] = []
    images: list[Any] = []
    for place, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[place % 2]:
            raise UserError(
                f"{name} has a message of the {message['role']} where a run takes a question and an answer in turn: leave the task out."
            )
        text = "\n".join(part["text"].strip() for part in message["content"] if part["type"] == "text").strip()
        media = [part for part in message["content"] if part["type"] != "text"]
        if message["role"] == "assistant":
            turns[-1] = Turn(turns[-1].question, text)
        else:
            turns.append(Turn(text, ""))
        images += media
        if media and place:
            raise UserError(
                f"{name} shows something in a later turn, and a run sees its image first: leave the task out."
            )
    if len(messages) % 2 == 0:
        raise UserError(f"{name} ends without a question: leave the task out.")
    if unseen := {str(part["type"]) for part in images} - {"image"}:
        raise UserError(f"{name} has {' and '.join(sorted(unseen))}, and a run sees images alone: leave the task out.")
    if len(images) > 1:
        raise UserError(f"{name} has {len(images)} images, and a run sees one: leave the task out.")
    return tuple(turns), opened(images[0]["url"]) if images else None


def opened(image: Image.Image | str) -> Image.Image:
    """An image that may still be a file's name."""
    return Image.open(Path(image)) if isinstance(image, str) else image
