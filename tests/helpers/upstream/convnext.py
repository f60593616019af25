"""Checkpoints of ConvNeXt, by timm and open_clip."""

from pathlib import Path

import open_clip
import torch
from timm.models.convnext import ConvNeXt as TimmConvNeXt

from eaglebench.experts.convnext import ConvNeXt
from tests.helpers.upstream.base import OPEN_CLIP_TEXT_TOWER, Case, Cases, FullSize, randomise


def build_convnext() -> ConvNeXt:
    return ConvNeXt(image_size=64, depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), norm_eps=1e-5)


def build_timm_convnext() -> TimmConvNeXt:
    return randomise(TimmConvNeXt(num_classes=5, depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), norm_eps=1e-5))


def write_timm(folder: Path) -> Case:
    model = build_timm_convnext()
    folder.mkdir()
    torch.save(model.state_dict(), folder / "convnext.pth")
    return Case(build_convnext(), folder / "convnext.pth", model.forward_features)


def write_open_clip(folder: Path) -> Case:
    vision = {
        "timm_model_name": "convnext_tiny",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 64,
    }
    model = randomise(open_clip.CLIP(24, vision, OPEN_CLIP_TEXT_TOWER))
    folder.mkdir()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "open_clip_pytorch_model.bin")
    trunk = model.visual.trunk
    expert = ConvNeXt(image_size=64, depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), norm_eps=1e-6)
    return Case(expert, folder, lambda pixels: trunk.stages(trunk.stem(pixels)))


CASES: Cases = {"timm": write_timm, "open_clip": write_open_clip}
FULL_SIZE = FullSize(parameters=843_391_872, channels=3072, grid=32)  # the trunk
