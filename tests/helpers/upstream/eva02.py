"""Checkpoints of EVA-02's detection backbone, in the format of its release."""

from functools import partial
from pathlib import Path

import torch

from eaglebench.experts.eva02 import Eva02
from tests.helpers.upstream.base import Case, Cases, FullSize, add_prefix, randomise
from tests.helpers.upstream.eva02_reference import EvaReference


def build_eva02(image_size: int = 64) -> Eva02:
    """An expert that reads the weights of `build_reference`."""
    return Eva02(
        image_size=image_size,
        width=32,
        depth=3,
        heads=2,
        window=4,
        global_blocks=(1,),
        position_grid=3,
        rope_grid=5,
    )


def build_reference() -> EvaReference:
    """Windows of 4, positions of 3 x 3 with a class token, rotary positions of a grid of 5."""
    return randomise(
        EvaReference(width=32, heads=2, depth=3, patch=16, window=4, global_blocks=(1,), position_grid=3, rope_grid=5)
    )


def write_detection(
    folder: Path, image_size: int = 64, wrapper: str | None = "ema_state", prefix: str = "backbone.net."
) -> Case:
    """A file of the whole detector, for a grid of 4 x 4 cells or more."""
    model = build_reference()
    weights = add_prefix(prefix, model.state_dict())
    weights |= {f"{prefix}blocks.0.attn.rope.freqs_cos": torch.zeros(16, 16), "roi_heads.box.weight": torch.zeros(1)}
    folder.mkdir()
    torch.save({wrapper: weights, "iteration": 7} if wrapper else weights, folder / "eva02.pth")
    return Case(build_eva02(image_size), folder / "eva02.pth", model)


CASES: Cases = {
    "detection": write_detection,
    "padded windows": partial(write_detection, image_size=96, wrapper="module"),
    "not wrapped, no prefix": partial(write_detection, image_size=128, wrapper=None, prefix=""),
}
# Less the position of the class token, which detectors do not have.
FULL_SIZE = FullSize(parameters=303_388_608 - 1024, channels=1024, grid=64)
