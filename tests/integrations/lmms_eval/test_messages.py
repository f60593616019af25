"""lmms-eval's messages as conversations, its settings as limits; what a run cannot do is refused in one sentence."""

from typing import Any

import pytest
from PIL import Image

from eaglebench.data.sample import Turn
from eaglebench.integrations.lmms_eval.messages import parse_conversation, parse_generation
from eaglebench.utils.errors import UserError

IMAGE = {"type": "image", "url": Image.new("RGB", (4, 2))}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def message(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def test_an_image_and_a_question() -> None:
    assert parse_conversation("ocrbench-0", [message(IMAGE, text("what is written? "))]) == (
        (Turn("what is written?", ""),),
        IMAGE["url"],
    )


def test_a_question_without_an_image() -> None:
    assert parse_conversation("mmlu-0", [message(text("2 + 2?"))]) == ((Turn("2 + 2?", ""),), None)


def test_texts_around_an_image_are_lines_of_the_question() -> None:
    turns, image = parse_conversation("d", [message(text("look:"), IMAGE, text("how many?"))])
    assert turns == (Turn("look:\nhow many?", ""),)
    assert image is IMAGE["url"]


def test_earlier_turns_keep_their_answers() -> None:
    messages = [message(IMAGE, text("colour?")), message(text("red"), role="assistant"), message(text("shape?"))]
    assert parse_conversation("d", messages)[0] == (Turn("colour?", "red"), Turn("shape?", ""))


def test_an_image_may_be_a_file() -> None:
    assert parse_conversation("d", [message({"type": "image", "url": "a.png"}, text("?"))])[1] == "a.png"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([message(IMAGE, IMAGE, text("?"))], "d has 2 images, and a run sees one"),
        ([message({"type": "video", "url": "a.mp4"}, text("?"))], "d has video, and a run sees images alone"),
        ([message(text("think"), role="system"), message(text("?"))], "a message of the system"),
        ([message(text("?")), message(text("!"), role="assistant")], "ends without a question"),
        ([message(text("?")), message(text("!"), role="assistant"), message(IMAGE, text("?"))], "in a later turn"),
    ],
)
def test_documents_that_are_refused(messages: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        parse_conversation("d", messages)


def test_an_answer_ends_where_the_task_says() -> None:
    settings = {"max_new_tokens": 32, "until": ["\n\n", "Q:"], "temperature": 0, "top_p": 1.0, "num_beams": 1}
    limits = parse_generation("t", settings, max_new_tokens=8)
    assert limits.max_new_tokens == 32
    assert limits.truncate("a cat\n\nand Q: more") == "a cat"
    assert limits.truncate("a cat Q: a\n\ndog") == "a cat"
    assert limits.truncate("a\ncat") == "a\ncat"


@pytest.mark.parametrize("until", [None, [], [""], "Q:"])
def test_a_task_may_leave_things_to_the_run(until: Any) -> None:
    limits = parse_generation("t", {"until": until, "do_sample": False}, max_new_tokens=8)
    assert (limits.max_new_tokens, limits.truncate(" a cat ")) == (8, "a cat")


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.7}, {"do_sample": True}, {"do_sample": True, "temperature": 0.2, "top_p": 0.9}]
)
def test_sampling_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="t samples its answers, and those of a run are greedy"):
        parse_generation("t", settings, 8)


@pytest.mark.parametrize("settings", [{"do_sample": True, "temperature": 0}, {"do_sample": False, "temperature": 0.7}])
def test_sampling_at_no_temperature_is_greedy(settings: dict[str, Any]) -> None:
    assert parse_generation("t", settings, 8).max_new_tokens == 8


@pytest.mark.parametrize(
    ("settings", "way_out"),
    [
        ({"num_beams": 5}, "set gen_kwargs to num_beams=1"),
        ({"repetition_penalty": 1.2}, "set gen_kwargs to repetition_penalty=1"),
        ({"visual_cot": True}, "leave the task out"),
    ],
)
def test_what_changes_a_greedy_answer_is_refused(settings: dict[str, Any], way_out: str) -> None:
    with pytest.raises(UserError, match=way_out):
        parse_generation("t", settings, 8)
