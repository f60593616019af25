"""MMMU: Parquet files, several images side by side."""

import sys

import pytest
from PIL import Image
from pyarrow import Table, parquet

from eaglebench.utils.errors import UserError
from tests.helpers.releases import SIDE, ReleaseFolder, describe, encode_png


def test_mmmu(release: ReleaseFolder) -> None:
    """Several images of a question stand side by side, in their order."""
    none = dict.fromkeys(f"image_{place}" for place in range(1, 8))
    red, blue = ({"bytes": encode_png(colour), "path": None} for colour in ("red", "blue"))
    rows = [
        none
        | {
            "id": "validation_Computer_Science_12",
            "question": "<image 1> or <image 2>?",
            "options": "['one', \"it's two\"]",
        }
        | {"answer": "B", "image_1": red, "image_2": blue},
        none
        | {
            "id": "validation_Art_1",
            "question": "How many in <image 1>?",
            "options": "[]",
            "answer": "3",
            "image_1": red,
        },
        none
        | {
            "id": "validation_Art_2",
            "question": "What?",
            "options": "[]",
            "answer": "['24/7', '3.429']",
            "image_1": red,
        },
    ]
    (release.folder / "Art").mkdir(parents=True)
    parquet.write_table(Table.from_pylist(rows), release.folder / "Art" / "validation-00000-of-00001.parquet")
    parquet.write_table(Table.from_pylist(rows), release.folder / "Art" / "dev-00000-of-00001.parquet")
    first, second, third = release.convert("mmmu")
    assert describe(first) == (
        "validation_Computer_Science_12",
        "validation_Computer_Science_12.png",
        "<image 1> or <image 2>?\nA. one\nB. it's two",
        ("B", "it's two"),
        "Computer_Science",
    )
    assert first.image is not None
    with Image.open(first.image) as image:
        assert image.size == (2 * SIDE + 16, SIDE)
        assert [image.getpixel((x, 0)) for x in (0, SIDE, 2 * SIDE)] == [(255, 0, 0), (255,) * 3, (0, 0, 255)]
    assert describe(second)[3:] == (("3",), "Art")
    assert third.turns[0].references == ("24/7", "3.429")


def test_mmmu_without_its_library_says_what_to_install(release: ReleaseFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    release.write("validation-1.parquet", b"")
    with pytest.raises(UserError, match="pip install 'eaglebench\\[parquet\\]'"):
        release.convert("mmmu")
