"""The passes of an evaluation encode each image once, with the same result whichever answers are there already."""

from pathlib import Path

import torch
from torch import Tensor, nn

from eaglebench.data.sample import Sample, Turn
from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.evaluation.visual_tokens import VisualTokens, list_images

IMAGES = [Path(str(number)) for number in range(5)]


class Counting(nn.Module):
    """Encodes an image to its first pixel, and notes what it encodes together."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[int]] = []

    def encode_images(self, images_I3SS: Tensor) -> Tensor:
        self.groups.append(images_I3SS[:, 0, 0, 0].tolist())
        return images_I3SS[:, :1, 0, :1].float()


def make_tokens(model: Counting) -> VisualTokens:
    return VisualTokens(model, IMAGES, lambda image: torch.full((3, 2, 2), int(image.name)), 2, "cpu")  # type: ignore[arg-type]


def test_each_image_is_encoded_once_in_groups_of_their_order() -> None:
    model = Counting()
    tokens = make_tokens(model)
    assert [tokens(image).item() for image in (*IMAGES, *IMAGES)] == [0, 1, 2, 3, 4] * 2
    assert model.groups == [[0, 1], [2, 3], [4]]
    later = Counting()
    assert make_tokens(later)(IMAGES[3]).item() == 3  # as after an interruption
    assert later.groups == [[2, 3]]


def test_images_are_listed_once() -> None:
    samples = [Sample(name, Path(name) if name else None, (Turn("q", "1"),) * 2) for name in ("b", "", "a", "b")]
    assert list_images([EvalQuestion(sample, turn) for sample in samples for turn in (0, 1)]) == [Path("b"), Path("a")]
