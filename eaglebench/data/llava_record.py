"""One record of LLaVA's format.

`{"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."}, {"from": "gpt", "value": "..."}]}`

- `id` is a text or a number; without one, a record is known by its position. Training records may share an id.
- `image` is a file name, or a list with one; a record without one, or with "" or null, is text alone.
- Turns alternate. `from` is human or user, gpt or assistant, in any case. A whole number as `value` is its digits.
- A `gpt` turn may have `family`, the name of the group that its answer is scored in, and `type`, that of its kind of
  question within the family.
- The system text is a first turn `from` system, or the field `system`.
- `<image>` is the place of the image where it begins or ends a line of the first question, or is the only one in it.
  Everywhere else it is text.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from eaglebench.data.image_folder import ImageFolder
from eaglebench.data.sample import TYPE, Sample, Turn
from eaglebench.utils.quoting import quote

IMAGE_TAG = "<image>"
IMAGE_PLACE = re.compile(rf"^[ \t]*({IMAGE_TAG})|({IMAGE_TAG})[ \t]*$", re.MULTILINE)
ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt", "system": "system"}
LONGEST_ID = 60  # characters that a message shows


class BadRecord(Exception):
    """The reason why a record cannot be used."""


class Message(NamedTuple):
    """One turn of a record: its number from 1, who speaks, the text, and the family and type of an answer."""

    number: int
    role: str
    text: str
    family: str | None
    type: str | None


def record_id(record: Any, position: int) -> str:
    """The record's own id, or its position in the file, such as "record 3"."""
    identity = record.get("id") if isinstance(record, dict) else None
    return f"record {position + 1}" if identity is None else str(identity)


def describe_record(record: Any, place: str) -> str:
    """How messages name a record: its place in the file, and its id if it has one."""
    identity = record.get("id") if isinstance(record, dict) else None
    if identity is None:
        return place
    plain = isinstance(identity, str) and identity.isprintable() and 0 < len(identity) <= LONGEST_ID
    return f"{place}, id {identity if plain else quote(identity)}"


def parse_record(record: Any, position: int, folder: ImageFolder) -> Sample:
    """Parse one record.

    Args:
        record: the record.
        position: its index in the file.
        folder: the folder of the images.

    Raises:
        BadRecord: the record cannot be used.
        BadImageName: its image cannot be used.
    """
    if not isinstance(record, dict):
        raise BadRecord("it is not an object")
    if not isinstance(record.get("id"), (str, int, float, type(None))) or isinstance(record.get("id"), bool):
        raise BadRecord("its id is neither a text nor a number")
    messages, system = split_system(read_messages(record), record.get("system"))
    turns = pair_turns(messages)
    name = image_name(record)
    if name is None:
        if any(IMAGE_PLACE.search(turn.question) for turn in turns):
            raise BadRecord(f"it says {IMAGE_TAG} but names no image")
    else:
        turns = remove_image_place(turns)
    turns = [replace(turn, question=turn.question.strip()) for turn in turns]
    return Sample(record_id(record, position), None if name is None else folder.find(name), tuple(turns), system)


def read_messages(record: dict[str, Any]) -> list[Message]:
    """The turns of a record.

    Raises:
        BadRecord: there are none, or one cannot be used.
    """
    if "conversations" not in record and "messages" in record:
        raise BadRecord(
            "it has 'messages', which is OpenAI's format: write them as 'conversations', with 'from' and 'value'"
        )
    conversation = record.get("conversations")
    if conversation is not None and not isinstance(conversation, list):
        raise BadRecord("its conversations are not a list")
    if not conversation:
        raise BadRecord("it has no conversations")
    return [read_message(turn, number) for number, turn in enumerate(conversation, 1)]


def read_message(turn: Any, number: int) -> Message:
    """The turn `number`, counted from 1.

    Raises:
        BadRecord: its role is unknown, or its value is no text.
    """
    if not isinstance(turn, dict):
        raise BadRecord(f"turn {number} is not an object")
    for key in ("from", "value"):
        if key not in turn:
            raise BadRecord(f"turn {number} has no {key!r}")
    role = ROLES.get(turn["from"].lower()) if isinstance(turn["from"], str) else None
    if role is None:
        raise BadRecord(f"turn {number} has the unknown role {quote(turn['from'])} (known: {', '.join(ROLES)})")
    text = read_as_text(turn["value"])
    if text is None:
        raise BadRecord(f"turn {number} has {describe_type(turn['value'])} as its value: write it as text, in quotes")
    for key in ("family", "type"):
        if not isinstance(turn.get(key), (str, type(None))):
            raise BadRecord(f"turn {number} has a {key} that is not a string")
    return Message(number, role, text, turn.get("family"), turn.get("type"))


def read_as_text(value: Any) -> str | None:
    """A text, or a whole number as its digits; None for anything else.

    Other numbers have more than one spelling, such as 2.5 and 2.50, so their text is not known.
    """
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def describe_type(value: Any) -> str:
    """A JSON value that is not the text that it should be."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    plain = json.dumps(value)
    return plain if value is None or isinstance(value, bool) else f"the number {plain}"


def split_system(messages: Sequence[Message], field: Any) -> tuple[Sequence[Message], str | None]:
    """The turns without a system turn, and the system text; None without one.

    Args:
        messages: the turns.
        field: the field `system` of the record; None if it has none.

    Raises:
        BadRecord: the field is no text, a later turn is a system turn, or there are both a field and a turn.
    """
    if field is not None and not isinstance(field, str):
        raise BadRecord(f"it has {describe_type(field)} as its system text")
    texts = [field] if field else []
    if messages[0].role == "system":
        texts.append(messages[0].text)
        messages = messages[1:]
    if len(texts) > 1:
        raise BadRecord("it has both a system turn and the field 'system'")
    return messages, (texts[0].strip() or None) if texts else None


def pair_turns(messages: Sequence[Message]) -> list[Turn]:
    """Questions with their answers.

    Raises:
        BadRecord: they do not alternate, or an answer is empty.
    """
    if not messages:
        raise BadRecord("it has a system turn alone")
    for index, message in enumerate(messages):
        if message.role == "system":
            raise BadRecord(f"turn {message.number} is a system turn, which only the first may be")
        if message.role != ("human", "gpt")[index % 2]:
            if index == 0:
                raise BadRecord("it begins with an answer: the first turn is a question, from 'human'")
            kind = "questions" if message.role == "human" else "answers"
            raise BadRecord(f"turns {message.number - 1} and {message.number} are both {kind}")
        if message.role == "gpt" and not message.text.strip():
            raise BadRecord(f"turn {message.number} has an empty answer")
    if len(messages) % 2:
        raise BadRecord("its last question has no answer")
    return [
        Turn(question.text, answer.text.strip(), answer.family, meta={} if answer.type is None else {TYPE: answer.type})
        for question, answer in zip(messages[::2], messages[1::2], strict=True)
    ]


def image_name(record: dict[str, Any]) -> str | None:
    """The name of a record's image; None if it has none.

    Raises:
        BadRecord: it has several, or the name is no text.
    """
    if record.get("images"):
        raise BadRecord("it has 'images': name the one image of a record in 'image'")
    name = record.get("image")
    if isinstance(name, list):
        if len(name) > 1:
            raise BadRecord(f"it has {len(name)} images: a record may have one")
        name = name[0] if name else None
    if name is not None and not isinstance(name, str):
        raise BadRecord(f"it has {describe_type(name)} as its image: a file name is due")
    return name or None


def remove_image_place(turns: Sequence[Turn]) -> list[Turn]:
    """The turns without the tag that is the image's place: chat templates put the image before the first question.

    Raises:
        BadRecord: the first question does not have one place, or a later one has one.
    """
    first, *later = turns
    if any(IMAGE_PLACE.search(turn.question) for turn in later):
        raise BadRecord(f"its first question must say {IMAGE_TAG}, and no later one")
    places = [found.span(found.lastindex or 0) for found in IMAGE_PLACE.finditer(first.question)]
    if not places:
        places = [found.span() for found in re.finditer(IMAGE_TAG, first.question)]
    if len(places) != 1:
        raise BadRecord(f"its first question must say {IMAGE_TAG} exactly once, and says it {len(places)} times")
    ((start, end),) = places
    return [replace(first, question=first.question[:start] + first.question[end:]), *later]
