"""Checkpoints of Pix2Struct, by transformers."""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from eaglebench.experts.pix2struct import Pix2Struct
from tests.helpers.upstream.base import SMALL, Case, Cases, FullSize, randomise, to_square

VISION_CONFIG = {
    "hidden_size": 32,
    "d_ff": 48,
    "d_kv": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "seq_len": 20,
    "patch_size": 16,
    "patch_embed_hidden_size": 768,
}


def build_pix2struct(image_size: int = 64) -> Pix2Struct:
    return Pix2Struct(image_size=image_size, mlp_width=48, positions=20, **SMALL)


def run_pix2struct(model: nn.Module, pixels: Tensor) -> Tensor:
    """transformers' vision model on patches that carry their row and column in front."""
    patches = F.unfold(pixels, 16, stride=16).unflatten(1, (3, 256)).permute(0, 3, 2, 1).flatten(2)
    lines = torch.arange(1.0, pixels.shape[-1] // 16 + 1)
    ids = torch.cartesian_prod(lines, lines).to(pixels)
    flattened = torch.cat([ids.expand(len(pixels), -1, -1), patches], dim=2)
    return to_square(model(flattened_patches=flattened).last_hidden_state)


def write_vision_model(folder: Path, image_size: int = 64) -> Case:
    model = randomise(transformers.Pix2StructVisionModel(transformers.Pix2StructVisionConfig(**VISION_CONFIG)))
    model.save_pretrained(folder)
    return Case(build_pix2struct(image_size), folder, partial(run_pix2struct, model))


def write_whole_model(folder: Path) -> Case:
    text = {"hidden_size": 32, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 16, "vocab_size": 40}
    config = transformers.Pix2StructConfig(vision_config=VISION_CONFIG, text_config=text)
    model = randomise(transformers.Pix2StructForConditionalGeneration(config))
    model.save_pretrained(folder)
    return Case(build_pix2struct(), folder, partial(run_pix2struct, model.encoder))


CASES: Cases = {
    "transformers": write_vision_model,
    "transformers, a larger grid": partial(write_vision_model, image_size=96),
    "transformers, whole": write_whole_model,
}
FULL_SIZE = FullSize(parameters=512_812_032, channels=1536, grid=45)
