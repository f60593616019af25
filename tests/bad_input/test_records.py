"""Odd and bad records of training and evaluation data: what each is read as, or the sentence that refuses it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eaglebench.utils.errors import UserError
from tests.conftest import turns
from tests.helpers.record_files import QUESTION, RECORD, make_image_folder, read, read_record, refuse

GPT_FIRST = [{"from": "gpt", "value": "hi"}, {"from": "human", "value": QUESTION}, {"from": "gpt", "value": "two"}]
TWO_HUMANS = [{"from": "human", "value": "Look."}, {"from": "human", "value": "And?"}, {"from": "gpt", "value": "two"}]
TWO_GPTS = [*turns("<image>", "a"), {"from": "gpt", "value": "b"}]
CAPITALS = [{"from": "Human", "value": QUESTION}, {"from": "GPT", "value": "two"}]
SYSTEM = {"from": "system", "value": "Be brief."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path)


def answered(value: Any) -> dict[str, Any]:
    """The change that makes `value` the answer."""
    return {"conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": value}]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ["x"]}, "its id is neither a text nor a number"),
        ({"id": True}, "its id is neither a text nor a number"),
        ({"conversations": None}, "it has no conversations"),
        ({"conversations": []}, "it has no conversations"),
        ({"conversations": "hi"}, "its conversations are not a list"),
        ({"conversations": None, "messages": [{"role": "user", "content": "hi"}]}, "which is OpenAI's format: write"),
        ({"conversations": ["hi", "ho"]}, "turn 1 is not an object"),
        ({"conversations": [{"value": "hi"}]}, "turn 1 has no 'from'"),
        ({"conversations": [{"from": "human"}]}, "turn 1 has no 'value'"),
        ({"conversations": [{"from": "robot", "value": "hi"}]}, "turn 1 has the unknown role 'robot' (known: human"),
        ({"conversations": [{"from": ["human"], "value": "hi"}]}, "turn 1 has the unknown role ['human']"),
        ({"conversations": GPT_FIRST}, "it begins with an answer: the first turn is a question"),
        ({"conversations": GPT_FIRST[:2]}, "it begins with an answer: the first turn is a question"),
        ({"conversations": TWO_HUMANS}, "turns 1 and 2 are both questions"),
        ({"conversations": TWO_GPTS}, "turns 2 and 3 are both answers"),
        ({"conversations": turns(QUESTION)}, "its last question has no answer"),
        ({"conversations": [SYSTEM]}, "it has a system turn alone"),
        ({"conversations": [SYSTEM, *TWO_HUMANS]}, "turns 2 and 3 are both questions"),
        ({"conversations": [*turns(QUESTION, "two"), SYSTEM]}, "turn 3 is a system turn, which only the first may be"),
        (
            {"conversations": [SYSTEM, *turns(QUESTION, "a")], "system": "b"},
            "both a system turn and the field",
        ),
        ({"system": 3}, "it has the number 3 as its system text"),
        (answered("  \n"), "turn 2 has an empty answer"),
        (answered(2.5), "turn 2 has the number 2.5 as its value: write it as text, in quotes"),
        (answered(True), "turn 2 has true as its value: write it as text, in quotes"),
        (answered(["two", "2"]), "turn 2 has a list as its value: write it as text, in quotes"),
        (answered({"text": "two"}), "turn 2 has an object as its value: write it as text, in quotes"),
        (answered(None), "turn 2 has null as its value: write it as text, in quotes"),
        ({"image": ["a.png", "a.png"]}, "it has 2 images: a record may have one"),
        ({"image": None, "images": ["a.png"]}, "it has 'images': name the one image of a record in 'image'"),
        ({"image": 3}, "it has the number 3 as its image: a file name is due"),
        ({"image": ""}, "it says <image> but names no image"),
        ({"image": None}, "it says <image> but names no image"),
        ({"conversations": turns("How many?", "two")}, "must say <image> exactly once, and says it 0 times"),
        ({"conversations": turns("<image><image>", "two")}, "must say <image> exactly once, and says it 2 times"),
        (
            {"conversations": turns("Hi", "Hi", QUESTION, "two")},
            "must say <image>, and no later one",
        ),
        ({"image": "."}, "its image '.' is a folder"),
        ({"image": "a" * 5_000}, "cannot be read (File name too long)"),
        ({"image": "http://x/a.png"}, "does not exist: it is an address, and images are read from files"),
        ({"image": " a.png"}, "its image ' a.png' does not exist in"),
        ({"image": "sub\\a.png"}, r"its image 'sub\\a.png' does not exist in"),
        ({"image": "../secret.png"}, "its image '../secret.png' lies outside"),
        ({"image": "sub/../../secret.png"}, "lies outside"),
        ({"image": "/etc/hostname"}, "its image '/etc/hostname' lies outside"),
        ({"image": "link.png"}, "its image 'link.png' is a link that leads outside"),
        ({"image": "up/secret.png"}, "its image 'up/secret.png' is a link that leads outside"),
        ({"image": "loop.png"}, "its image 'loop.png' cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_records_that_are_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "up").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    bad = {key: value for key, value in {**RECORD, **changes}.items() if value is not None}
    message = refuse(folder, "d.json", json.dumps([RECORD | {"id": "good"}, bad]))
    assert reason in message
    assert "1 of 2 records cannot be used (record 2" in message


@pytest.mark.parametrize(
    ("changes", "question", "answer", "image", "system"),
    [
        ({}, "How many?", "two", "a.png", None),
        (answered(2), "How many?", "2", "a.png", None),
        (answered("It is <image>."), "How many?", "It is <image>.", "a.png", None),
        ({"image": ["a.png"]}, "How many?", "two", "a.png", None),
        ({"image": "./sub/../a.png"}, "How many?", "two", "a.png", None),
        ({"image": "", "conversations": turns("Legs?", "eight")}, "Legs?", "eight", None, None),
        ({"image": [], "conversations": turns("Legs?", "eight")}, "Legs?", "eight", None, None),
        ({"image": None, "conversations": turns("What is <image> for?", "a")}, "What is <image> for?", "a", None, None),
        ({"conversations": turns("<image>\nIs <image> a tag?", "yes")}, "Is <image> a tag?", "yes", "a.png", None),
        ({"conversations": turns("How many?\n<image>", "two")}, "How many?", "two", "a.png", None),
        ({"conversations": turns("How <image> many?", "two")}, "How  many?", "two", "a.png", None),
        (
            {"conversations": [{"from": "Human", "value": QUESTION}, {"from": "GPT", "value": "two"}]},
            *("How many?", "two", "a.png", None),
        ),
        ({"conversations": [SYSTEM, *turns(QUESTION, "two")]}, "How many?", "two", "a.png", "Be brief."),
        ({"system": "Be <image> brief. "}, "How many?", "two", "a.png", "Be <image> brief."),
        ({"system": ""}, "How many?", "two", "a.png", None),
    ],
)
def test_records_that_are_read(
    folder: Path, changes: dict[str, Any], question: str, answer: str, image: str | None, system: str | None
) -> None:
    sample = read_record(folder, changes)
    assert (sample.turns[0].question, sample.turns[0].answer, sample.system) == (question, answer, system)
    assert sample.image == (None if image is None else folder.resolve() / image)


@pytest.mark.parametrize(("identity", "read_as"), [(17, "17"), (1.5, "1.5"), ("", ""), (None, "record 1")])
def test_ids_are_texts_or_numbers(folder: Path, identity: Any, read_as: str) -> None:
    assert read_record(folder, {"id": identity}).id == read_as


@pytest.mark.parametrize("identity", ["a\nb", "y" * 5_000, ""])
def test_odd_ids_are_quoted(folder: Path, identity: str) -> None:
    assert "record 1, id '" in refuse(folder, "d.json", json.dumps([{"id": identity}]))


def test_a_link_to_the_image_root_is_the_image_root(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    for name in ("a.png", str(link / "a.png"), str(folder / "a.png")):
        assert read_record(folder, {"image": name}, image_root=link).image is not None


def test_the_links_of_the_hub_cache_are_followed_within_a_repository(folder: Path) -> None:
    snapshot = folder.parent / "datasets--x" / "snapshots" / "abc"
    blobs = folder.parent / "datasets--x" / "blobs"
    for made in (snapshot, blobs):
        made.mkdir(parents=True)
    (blobs / "0123").write_bytes((folder / "a.png").read_bytes())
    (snapshot / "a.png").symlink_to(Path("../../blobs/0123"))
    (snapshot / "b.png").symlink_to(folder.parent / "secret.png")
    assert read_record(folder, {}, image_root=snapshot).image == snapshot.resolve() / "a.png"
    with pytest.raises(UserError, match="is a link that leads outside"):
        read_record(folder, {"image": "b.png"}, image_root=snapshot)


@pytest.mark.parametrize("field", ["data.image_root", "stages.projector.image_root"])
def test_where_all_images_are_missing_the_folder_is_named_and_its_field(folder: Path, field: str) -> None:
    text = {"id": "t", "conversations": turns("Hi", "Hi")}
    records = [text, RECORD | {"image": "b.png"}, RECORD | {"image": "c.png"}]
    message = refuse(folder, "d.json", json.dumps(records), root_field=field)
    assert f"no image that it names is in {folder}: set {field} to the folder that holds them" in message
    message = refuse(folder, "d.json", json.dumps([RECORD, *records]), root_field=field)
    assert field not in message


def test_ids_may_repeat_but_an_evaluation_asks_a_question_once(folder: Path) -> None:
    other = RECORD | {"conversations": turns("<image>\nWhich colour?", "red")}
    assert len(read(folder, "d.json", json.dumps([RECORD, RECORD, other]))) == 3
    assert len(read(folder, "d.json", json.dumps([RECORD, other]), distinct=True)) == 2
    message = refuse(folder, "d.json", json.dumps([RECORD, other, RECORD]), distinct=True)
    assert "record 3, id x: it asks what record 1, id x asks, under the same id" in message
