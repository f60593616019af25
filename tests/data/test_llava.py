"""Reading users' files: what is good is read whole, what is bad is named."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from eaglebench.data.llava import hash_samples, read_samples
from eaglebench.data.sample import Turn
from eaglebench.utils.errors import UserError
from tests.conftest import turns, write_records

GOOD = {"id": "good", "image": "a.png", "conversations": turns("<image>\nwhat is it", "a square")}


def test_single_multi_turn_and_text_only_records(tmp_path: Path) -> None:
    records = [
        GOOD,
        {"id": "many", "image": "a.png", "conversations": turns("what is <image> it", "a square", "its colour", "red")},
        {"id": "text", "conversations": turns("say hi", "hi")},
    ]
    samples = read_samples(write_records(tmp_path, records), checked=tmp_path / "checked")
    assert [sample.id for sample in samples] == ["good", "many", "text"]
    assert [sample.image is not None for sample in samples] == [True, True, False]
    assert samples[1].turns == (Turn("what is  it", "a square"), Turn("its colour", "red"))


def test_jsonl_and_other_names_of_roles(tmp_path: Path) -> None:
    write_records(tmp_path, [])
    record = {
        "conversations": [{"from": "user", "value": "hi"}, {"from": "assistant", "value": "ho", "family": "greeting"}]
    }
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(record) + "\n\n" + json.dumps(record) + "\n")
    samples = read_samples(path)
    assert [sample.id for sample in samples] == ["record 1", "record 2"]
    assert samples[0].turns[0].family == "greeting"


BAD = {
    "does not exist": {"image": "none.png", "conversations": turns("<image>", "x")},
    "cannot be used (": {"image": "broken.png", "conversations": turns("<image>", "x")},
    "must say <image> exactly once, and says it 0 times": {"image": "a.png", "conversations": turns("what", "x")},
    "no later one": {"image": "a.png", "conversations": turns("<image>", "x", "<image>", "y")},
    "says <image> but names no image": {"conversations": turns("<image>", "x")},
    "unknown role 'robot'": {"conversations": [{"from": "human", "value": "a"}, {"from": "robot", "value": "b"}]},
    "it begins with an answer": {"conversations": [{"from": "gpt", "value": "a"}, {"from": "gpt", "value": "b"}]},
    "turn 2 has an empty answer": {"conversations": turns("what", "  ")},
    "turn 2 has no 'value'": {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt"}]},
    "its last question has no answer": {"conversations": turns("what")},
    "has no conversations": {},
    "lies outside": {"image": "../a.png", "conversations": turns("<image>", "x")},
    "has 2 images": {"image": ["a.png", "a.png"], "conversations": turns("<image>", "x")},
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_stops_the_run_and_is_named(tmp_path: Path, reason: str) -> None:
    path = write_records(tmp_path, [GOOD, {"id": "bad-one", **BAD[reason]}])
    Image.effect_noise((64, 64), 50).save(tmp_path / "broken.png")
    whole = (tmp_path / "broken.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        read_samples(path, checked=tmp_path / "checked")
    message = str(caught.value)
    assert reason in message
    assert "bad-one" in message
    assert "1 of 2 records" in message
    assert "data.max_bad=1" in message
    assert "\n" not in message


def test_as_many_as_max_bad_are_skipped_and_logged(tmp_path: Path) -> None:
    records = [GOOD, {"id": "x", **BAD["does not exist"]}, {"id": "y", **BAD["turn 2 has no 'value'"]}]
    path = write_records(tmp_path, records)
    warnings: list[str] = []
    samples = read_samples(path, max_bad=2, warn=warnings.append)
    assert [sample.id for sample in samples] == ["good"]
    assert "x: its image" in warnings[0]
    assert "y: turn 2" in warnings[0]
    with pytest.raises(UserError):
        read_samples(path, max_bad=1, warn=warnings.append)


def test_a_broken_image_is_found_again_after_it_was_remembered(tmp_path: Path) -> None:
    path = write_records(tmp_path, [GOOD, {"id": "bad", **BAD["cannot be used ("]}])
    (tmp_path / "broken.png").write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(UserError, match=r"bad: its image .* cannot be used"):
            read_samples(path, checked=tmp_path / "checked")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes())
    assert len(read_samples(path, checked=tmp_path / "checked")) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[{", "is not valid JSON"),
        ("{", "must hold a list"),
        ('{"id": 1}', "must hold a list"),
        ("[]", "has no usable record"),
    ],
)
def test_a_file_that_is_no_data_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(UserError, match=reason):
        read_samples(path)


def test_a_missing_file_or_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_samples(tmp_path / "none.json")
    path = write_records(tmp_path, [GOOD])
    with pytest.raises(UserError, match="image_root"):
        read_samples(path, tmp_path / "nowhere")


def test_the_digest_follows_text_and_images(tmp_path: Path) -> None:
    samples = read_samples(write_records(tmp_path, [GOOD]))
    before = hash_samples(samples)
    assert hash_samples(samples) == before
    (tmp_path / "a.png").write_bytes(b"longer than before" * 100)
    assert hash_samples(samples) != before


def test_a_system_text_counts_and_its_absence_does_not(tmp_path: Path) -> None:
    (plain,) = read_samples(write_records(tmp_path, [GOOD]))
    (brief,) = read_samples(write_records(tmp_path, [GOOD | {"system": "Be brief."}]))
    assert hash_samples([plain]) != hash_samples([brief])
    state = hashlib.sha256(repr((plain.id, plain.turns)).encode())
    assert plain.image is not None
    stat = plain.image.stat()
    state.update(f"{plain.image.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    assert hash_samples([plain]) == state.hexdigest()[:16]  # as before there were system texts: stored stages stay
