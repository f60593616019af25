"""Opening images: turned upright, within a limit of pixels, as thumbnails."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from eaglebench.data.open_image import MAX_PIXELS, open_image, open_thumbnail
from eaglebench.data.unreadable import UnreadableImage
from tests.helpers.pictures import COLOUR, PICTURES, difference, encode, with_orientation, write_picture


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_orientation_is_turned_as_pillow_turns_it(orientation: int, kind: str) -> None:
    content = encode(COLOUR, kind, exif=with_orientation(orientation))
    stored = COLOUR.copy()
    stored.info["exif"] = with_orientation(orientation).tobytes()
    upright = ImageOps.exif_transpose(stored)
    assert difference(open_image(content), upright) == 0
    assert difference(open_image(stored), upright) == 0


@pytest.mark.parametrize("name", PICTURES)
def test_an_image_that_was_opened_stays_the_same_when_it_is_opened_again(tmp_path: Path, name: str) -> None:
    opened = open_image(write_picture(tmp_path, name)[0])
    assert open_image(opened).tobytes() == opened.tobytes()
    assert open_image(encode(opened)).size == opened.size


def test_damaged_exif_data_hides_no_picture() -> None:
    assert difference(open_image(encode(COLOUR, exif=b"Exif\0\0no exif data")), COLOUR) == 0


def test_an_image_of_pillow_stays_as_it_is() -> None:
    stored = COLOUR.copy()
    stored.info["exif"] = with_orientation(6).tobytes()
    open_image(stored)
    open_thumbnail(stored, 8)
    open_thumbnail(COLOUR, 8)
    assert stored.size == COLOUR.size == (96, 64)
    assert "exif" in stored.info


def test_the_limit_of_pixels_counts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit, which warns at one number and refuses at its double, is left as it was."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    content = encode(COLOUR)
    assert open_image(content, max_pixels=96 * 64).size == (96, 64)
    assert open_image(content, max_pixels=None).size == (96, 64)
    with pytest.raises(UnreadableImage, match=r"it has 96 x 64 pixels, more than data\.max_pixels=6143"):
        open_image(content, max_pixels=96 * 64 - 1)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_the_default_limit_is_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


def test_many_threads_open_at_once_and_leave_pillows_limit() -> None:
    content, limit, shown = encode(COLOUR), Image.MAX_IMAGE_PIXELS, []
    threads = [threading.Thread(target=lambda: shown.append(open_image(content).size)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown == [(96, 64)] * 16
    assert limit == Image.MAX_IMAGE_PIXELS


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="its size is 0 x 5"):
        open_image(Image.new("RGB", (0, 5)))


def test_a_thumbnail_is_the_picture_made_small(tmp_path: Path) -> None:
    photograph = COLOUR.resize((1920, 1280), Image.Resampling.BICUBIC)
    photograph.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    small = open_thumbnail(tmp_path / "a.jpg", 96)
    assert difference(small, COLOUR) < 3
    assert open_thumbnail(tmp_path / "a.jpg", 4000).size == (1920, 1280)
    assert open_thumbnail(Image.fromarray(np.zeros((5000, 1, 3), np.uint8)), 100).size == (1, 100)
