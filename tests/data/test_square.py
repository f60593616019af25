"""Images as squares: padded as LLaVA pads, cropped as CLIP crops."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import functional
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from eaglebench.data.square import PADDING, make_square

# (width, height): square, landscape, portrait, odd, small, extreme.
SIZES = [(64, 64), (100, 100), (640, 480), (333, 500), (97, 41), (20, 10), (3, 2), (1, 400), (2000, 3)]


def noise(size: tuple[int, int], smooth: bool = False) -> Image.Image:
    """A picture of noise; if smooth, of slow waves."""
    width, height = size
    if smooth:
        x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
        waves = [127 + 120 * np.sin(5 * x + 3 * y + phase) for phase in range(3)]
        return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pad_first(image: Image.Image, side: int) -> Image.Image:
    """LLaVA's `expand2square`, then one resize: it needs the square of the longer side."""
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), PADDING)
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    return square.resize((side, side), Image.Resampling.BICUBIC)


def levels(one: Image.Image, other: Image.Image) -> NDArray[np.int64]:
    """The difference of two images, pixel by pixel, in grey levels."""
    return np.abs(np.asarray(one, np.int64) - np.asarray(other, np.int64))


@pytest.mark.parametrize("size", [(64, 64), (100, 100), (7, 7)])
@pytest.mark.parametrize("shape", ["pad", "squash", "crop"])
def test_a_square_image_is_resized_once_bicubically(size: tuple[int, int], shape: str) -> None:
    image = noise(size)
    assert make_square(image, 64, shape) == image.resize((64, 64), Image.Resampling.BICUBIC)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (256, 128), (448, 56)])
def test_padding_last_is_padding_first_but_for_the_edge_between_image_and_padding(size: tuple[int, int]) -> None:
    """Where the shorter side shrinks to a whole, even number of pixels. Within two pixels of the edge, where bicubic
    interpolation reads from both sides of it, padding first blends the image with the padding; padding last does not.
    """
    side = 64
    new, old = make_square(noise(size), side, "pad"), pad_first(noise(size), side)
    bar = (side - min(size) * side // max(size)) // 2
    across = np.arange(side)
    far = (np.abs(across + 0.5 - bar) > 2) & (np.abs(across + 0.5 - (side - bar)) > 2)
    rows = levels(new, old) if size[0] > size[1] else levels(new, old).transpose(1, 0, 2)
    assert rows[far].max() <= 1  # rounding
    assert (rows[far] > 0).mean() < 0.01


@pytest.mark.parametrize("size", [(97, 41), (333, 500), (500, 121)])
def test_padding_last_moves_an_image_by_less_than_a_pixel(size: tuple[int, int]) -> None:
    """Where it does not shrink to a whole number: the image is the same, at most half a pixel away at its edges and
    half a pixel in its offset.
    """
    side = 64
    new, old = make_square(noise(size, smooth=True), side, "pad"), pad_first(noise(size, smooth=True), side)
    inside = min(size) * side // max(size) // 2 - 3
    window = slice(side // 2 - inside, side // 2 + inside)
    middle = levels(new, old)[window, :] if size[0] > size[1] else levels(new, old)[:, window]
    slope = 120 * 5 / (min(size) * side / max(size))  # of the waves: grey levels for each pixel of the square
    assert middle.max() <= slope + 2


@pytest.mark.parametrize("size", SIZES)
def test_the_bars_are_of_the_padding_colour_and_the_image_is_centred(size: tuple[int, int]) -> None:
    square = np.asarray(make_square(Image.new("RGB", size, "red"), 64, "pad"))
    padded = (square == PADDING).all(axis=-1)
    red = (square == (255, 0, 0)).all(axis=-1)
    assert (padded ^ red).all()
    for axis, length in enumerate(size):
        full = red.any(axis=axis)
        wanted = max(1, length * 64 / max(size))
        assert abs(full.sum() - wanted) <= 0.5
        first, last = full.nonzero()[0][[0, -1]]
        assert 0 <= (63 - last) - first <= 1


def test_squashing_fills_the_square() -> None:
    image = noise((50, 20))
    assert make_square(image, 64, "squash") == image.resize((64, 64), Image.Resampling.BICUBIC)


def crop_in_torchvision(image: Image.Image, side: int) -> Image.Image:
    resized = functional.resize(image, side, functional.InterpolationMode.BICUBIC)
    return functional.center_crop(resized, [side, side])


def crop_in_transformers(image: Image.Image, side: int) -> Image.Image:
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size=side, do_rescale=False, do_normalize=False
    )
    pixels = torch.as_tensor(np.asarray(processor(image, return_tensors="np")["pixel_values"]))[0]
    return Image.fromarray(pixels.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy())


def odd_rest(size: Sequence[int], side: int) -> bool:
    """Whether an odd number of pixels is cut off, which torchvision and transformers halve differently."""
    return int(side * max(size) / min(size)) % 2 != side % 2


@pytest.mark.parametrize("side", [32, 64, 65])
@pytest.mark.parametrize("size", SIZES)
def test_the_centre_crop_is_that_of_torchvision_and_of_clip(size: tuple[int, int], side: int) -> None:
    image = noise(size)
    ours = make_square(image, side, "crop")
    references = [crop_in_torchvision(image, side)]
    if not odd_rest(size, side):
        references.append(crop_in_transformers(image, side))
    for reference in references:
        assert levels(ours, reference).max() <= 1  # Pillow takes the edges of what is kept in single precision
        assert (levels(ours, reference) > 0).mean() < 0.005


def test_the_crop_leaves_the_ends_out() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste((0, 0, 255), (100, 0, 200, 100))
    middle = np.asarray(make_square(image, 50, "crop"))[:, 3:-3]
    assert (middle == (0, 0, 255)).all()
