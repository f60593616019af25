"""Checkpoints of DINOv2 with registers, by transformers and in the format of Meta's release."""

from functools import partial
from pathlib import Path

import torch
import transformers
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

from eaglebench.experts.dinov2 import Dinov2
from tests.helpers.upstream.base import SMALL, Case, Cases, FullSize, randomise, to_square


def build_dinov2(image_size: int) -> Dinov2:
    return Dinov2(image_size=image_size, patch_size=8, pretrained_size=32, **SMALL)


def write_transformers(folder: Path, image_size: int = 32) -> Case:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    model = randomise(transformers.Dinov2WithRegistersModel(config))
    model.save_pretrained(folder)
    return Case(build_dinov2(image_size), folder, lambda pixels: to_square(model(pixels).last_hidden_state[:, 5:]))


def write_facebook(folder: Path) -> Case:
    """A file in the names of Meta's release, which timm reads by a filter of its own."""
    model = VisionTransformer(
        img_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
        init_values=1.0,
        reg_tokens=4,
        no_embed_class=True,
        num_classes=0,
        global_pool="",
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).double()
    weights = {key: torch.randn_like(value) * 0.25 for key, value in model.state_dict().items()}
    weights["register_tokens"] = weights.pop("reg_token")
    weights["pos_embed"] = torch.randn(1, 17, 32, dtype=torch.float64) * 0.25
    weights["mask_token"] = torch.zeros(1, 32)
    folder.mkdir()
    torch.save(weights, folder / "dinov2_reg4.pth")
    model.load_state_dict(checkpoint_filter_fn(dict(weights), model))
    return Case(build_dinov2(32), folder / "dinov2_reg4.pth", lambda pixels: to_square(model.eval()(pixels)[:, 5:]))


CASES: Cases = {
    "transformers": write_transformers,
    "resampled positions": partial(write_transformers, image_size=48),
    "Meta's release": write_facebook,
}
# Less the mask token, which only DINOv2's own training needs.
FULL_SIZE = FullSize(parameters=304_372_736 - 1024, channels=1024, grid=32)
