"""Visual tokens of the images of an evaluation, which its passes share.

Shape letters: I images, N visual tokens, D width of the language model, S side of an image in pixels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from eaglebench.evaluation.questions import EvalQuestion
from eaglebench.model.eagle import EagleModel


class VisualTokens:
    """The visual tokens of images, encoded once.

    Images are encoded in groups that depend on nothing but their order. So an evaluation that was interrupted goes on
    with the same tokens to the last digit, whichever answers it has already.

    Args:
        model: in evaluation mode.
        images: all that may be asked for, without repetitions.
        read_image: gives the image of a path as uint8 [3, S, S].
        size: images that are encoded at once.
        device: where the model is when it encodes.
    """

    def __init__(
        self,
        model: EagleModel,
        images: Sequence[Path],
        read_image: Callable[[Path], Tensor],
        size: int,
        device: torch.device | str,
    ) -> None:
        self.model = model
        self.device = device
        self.read_image = read_image
        self.groups = [images[start : start + size] for start in range(0, len(images), size)]
        self.group_of = {image: number for number, group in enumerate(self.groups) for image in group}
        self.tokens: dict[Path, Tensor] = {}

    def __call__(self, image: Path) -> Tensor:
        """The visual tokens [N, D] of an image, on the CPU.

        Raises:
            UserError: an image of its group cannot be read.
        """
        if image not in self.tokens:
            group = self.groups[self.group_of[image]]
            self.tokens.update(zip(group, self.encode(group), strict=True))
        return self.tokens[image]

    @torch.no_grad()
    def encode(self, images: Sequence[Path]) -> Tensor:
        """The visual tokens [I, N, D] of a group of images, on the CPU."""
        pixels_I3SS = torch.stack([self.read_image(image) for image in images])
        return self.model.encode_images(pixels_I3SS.to(self.device)).cpu()


def list_images(questions: Sequence[EvalQuestion]) -> list[Path]:
    """The images of questions, each once, in their order."""
    return list(dict.fromkeys(image for question in questions if (image := question.sample.image) is not None))
