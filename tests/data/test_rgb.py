"""Pixels of more than 8 bits, and modes that only Pillow images in Python have."""

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eaglebench.data.open_image import open_image
from eaglebench.data.rgb import to_rgb
from tests.helpers.pictures import COLOUR, difference, encode


def grey_of(values: Any, kind: Any) -> list[int]:
    """The grey levels of a row of pixels."""
    return [int(level) for level in np.asarray(to_rgb(Image.fromarray(np.array([values], dtype=kind))))[0, :, 0]]


def test_every_16_bit_value_is_divided_by_257_and_rounded() -> None:
    values = np.arange(65536).reshape(256, 256)
    grey = np.asarray(to_rgb(Image.fromarray(values.astype(np.uint16))))[..., 1]
    assert np.array_equal(grey, (values + 128) // 257)


@pytest.mark.parametrize(
    ("kind", "values", "grey"),
    [
        (np.int32, [0, 1], [0, 255]),
        (np.int32, [0, 7, 200], [0, 7, 200]),
        (np.int32, [0, 257, 51400], [0, 1, 200]),
        (np.int32, [0, 600_000, 1_000_000], [0, 153, 255]),
        (np.int32, [-100, 0, 100], [0, 128, 255]),
        (np.int32, [-(2**31), 2**31 - 1], [0, 255]),
        (np.float32, [0, 0.5, 1], [0, 128, 255]),
        (np.float32, [0, 0.25, 0.5], [0, 64, 128]),
        (np.float32, [0, 99.5, 200], [0, 100, 200]),
        (np.float32, [-1, 0, 1], [0, 128, 255]),
        (np.float32, [1e6, 1e6 + 100], [0, 255]),
        (np.float32, [0, 0], [0, 0]),
        (np.int32, [70_000, 70_000], [0, 0]),
        (np.bool_, [False, True], [0, 255]),
    ],
)
def test_white_is_the_first_usual_value_that_no_pixel_exceeds(kind: Any, values: list[float], grey: list[int]) -> None:
    assert grey_of(values, kind) == grey


def test_integers_without_a_sign_have_none() -> None:
    """Pillow reads half of them as negative."""
    values = np.linspace(0, 2**32 - 1, 16).astype(np.uint32).reshape(1, 16)
    content = encode(Image.fromarray(values.view(np.int32)), "TIFF")
    signed, unsigned = (struct.pack("<HHII", 339, 3, 1, kind) for kind in (2, 1))  # the tag of the sample format
    assert content.count(signed) == 1
    content = content.replace(signed, unsigned)
    assert np.asarray(open_image(content))[0, :, 0].tolist() == [17 * step for step in range(16)]


def test_white_of_12_bits_is_4095() -> None:
    image = Image.fromarray(np.array([[0, 2048, 4095]], np.uint16))
    image.tag_v2 = {258: (12,)}  # type: ignore[attr-defined]  # as of a TIFF
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


def test_large_images_are_scaled_in_blocks_with_the_same_result() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (1100, 1000)).astype(np.uint16)
    whole = np.asarray(to_rgb(Image.fromarray(values)))[..., 0]
    assert np.array_equal(whole, (values.astype(np.int64) + 128) // 257)


@pytest.mark.parametrize("mode", ["RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_colour_spaces_show_the_picture(mode: str) -> None:
    assert difference(to_rgb(COLOUR.convert(mode)), COLOUR) < 2.5


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGBa", "PA"])
def test_half_transparent_black_is_grey_on_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 128)).convert(mode)
    assert np.asarray(to_rgb(image)).ravel().tolist() == [127] * 12


def test_an_rgb_image_is_not_copied() -> None:
    assert to_rgb(COLOUR) is COLOUR
