"""Files of records, good and bad, and what reading them gives."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eaglebench.data.llava import read_samples
from eaglebench.data.sample import Sample
from eaglebench.utils.errors import UserError
from tests.conftest import turns

QUESTION = "<image>\nHow many?"
RECORD = {"id": "x", "image": "a.png", "conversations": turns(QUESTION, "two")}


def make_image_folder(parent: Path) -> Path:
    """A folder with the image a.png, and one beside it that no name may reach."""
    (parent / "data").mkdir()
    for name in ("data/a.png", "secret.png"):
        Image.new("RGB", (8, 6), (200, 30, 30)).save(parent / name)
    return parent / "data"


def read(folder: Path, name: str, content: str | bytes, **options: Any) -> list[Sample]:
    """The samples of a file with this name and content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_samples(path, checked=folder / "checked", **options)


def read_record(folder: Path, changes: dict[str, Any], **options: Any) -> Sample:
    """The sample of the sound record with these changes; a change to None removes the field."""
    record = {key: value for key, value in {**RECORD, **changes}.items() if value is not None}
    (sample,) = read(folder, "data.json", json.dumps([record]), **options)
    return sample


def refuse(folder: Path, name: str, content: str | bytes, **options: Any) -> str:
    """The sentence that refuses a file; it is short, and on one line."""
    with pytest.raises(UserError) as caught:
        read(folder, name, content, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message.replace(str(folder), "")) < 500
    return message
