"""Batches: padding, the images that are there, and images as they are loaded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eaglebench.data.collate import Collator, Item, read_sample_image
from eaglebench.data.conversation import IGNORE, Encoded
from eaglebench.data.images import ImageReader, load_image
from eaglebench.data.sample import Sample
from eaglebench.data.square import PADDING, ImageSettings
from eaglebench.utils.errors import UserError

PADDED = ImageSettings("pad")


def test_conversations_are_padded_on_the_right() -> None:
    image = torch.ones(3, 2, 2, dtype=torch.uint8)
    items = [Item("a", Encoded((1, 2, 3), (IGNORE, 2, 3)), None), Item("b", Encoded((4,), (4,)), image)]
    batch = Collator(pad_token_id=7)(items)
    assert batch.input_ids.tolist() == [[1, 2, 3], [4, 7, 7]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.labels is not None
    assert batch.labels.tolist() == [[IGNORE, 2, 3], [4, IGNORE, IGNORE]]
    assert batch.images is not None
    assert batch.images.shape == (1, 3, 2, 2)
    assert batch.ids == ("a", "b")
    assert len(batch) == 2


def test_prompts_are_padded_on_the_left() -> None:
    batch = Collator(pad_token_id=7).collate_prompts([(1, 2, 3), (4,)], [None, None], ["a", "b"])
    assert batch.input_ids.tolist() == [[1, 2, 3], [7, 7, 4]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.labels is None
    assert batch.images is None


def test_an_image_is_padded_to_a_centred_square_and_resized_once(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "wide.png")
    image = load_image(tmp_path / "wide.png", 40, PADDED)
    assert image.shape == (3, 40, 40)
    assert image.dtype == torch.uint8
    assert tuple(image[:, 0, 0].tolist()) == PADDING
    assert tuple(image[:, 20, 20].tolist()) == (255, 0, 0)
    assert load_image(tmp_path / "wide.png", 16, PADDED).shape == (3, 16, 16)


def test_a_square_image_of_the_right_side_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png", 12, PADDED).permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_picture_gives_what_its_file_gives(tmp_path: Path, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png")
    assert torch.equal(load_image(picture, 12, PADDED), load_image(tmp_path / "a.png", 12, PADDED))


def test_images_are_remembered_within_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    remembering, forgetful = ImageReader(4, 1, PADDED), ImageReader(4, 0, PADDED)
    assert remembering(path) is remembering(path)
    assert forgetful(path) is not forgetful(path)


def test_an_unreadable_image_is_named_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"sample s1: its image .*a\.png cannot be read"):
        read_sample_image(Sample("s1", tmp_path / "a.png", ()), ImageReader(4, 1, PADDED))
