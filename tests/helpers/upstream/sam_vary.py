"""Checkpoints of SAM-Vary: the releases of the Vary family, and transformers' models."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig,
    DeepseekOcr2SamVisionEncoder,
)

from eaglebench.experts.sam_vary import SamVary
from tests.helpers.upstream.base import Case, Cases, FullSize, add_prefix, randomise
from tests.helpers.upstream.sam import build_segment_anything, enlarge, sam_arguments, sam_config


class Vary(nn.Module):
    """Vary's tower: segment_anything's encoder with two more convolutions, under Vary's names."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.encoder = build_segment_anything(image_size)
        self.net_2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net_3(self.net_2(self.encoder(pixels)))


def build_sam_vary(image_size: int) -> SamVary:
    return SamVary(channels=32, **sam_arguments(image_size))


def write_release(folder: Path, prefix: str, others: Sequence[str], image_size: int = 64, cells: int = 4) -> Case:
    """The format of the Vary family's own releases: the tower, and the keys `others` of other models."""
    model = randomise(Vary(cells * 16))
    weights = {key.removeprefix("encoder."): value for key, value in model.state_dict().items()}
    weights = add_prefix(prefix, weights) | {key: torch.zeros(1) for key in others}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    if image_size != cells * 16:
        model.encoder = enlarge(model.encoder, build_segment_anything(image_size), "blocks")
    return Case(build_sam_vary(image_size), folder, model)


def write_transformers_got(folder: Path) -> Case:
    text = {
        "model_type": "qwen2",
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 50,
    }
    config = transformers.GotOcr2Config(vision_config=sam_config(64), text_config=text, pad_token_id=0)
    model = randomise(transformers.GotOcr2ForConditionalGeneration(config))
    model.save_pretrained(folder)
    projector = model.model.multi_modal_projector

    def upstream(pixels: Tensor) -> Tensor:
        features = model.model.vision_tower(pixels).last_hidden_state
        return projector.conv_upsampler2(projector.conv_upsampler1(features))

    arguments = sam_arguments(64)
    expert = SamVary(channels=projector.conv_upsampler2.out_channels, **arguments)
    return Case(expert, folder, upstream)


def write_deepseek(folder: Path, image_size: int = 64, cells: int = 4) -> Case:
    """DeepSeek-OCR-2's encoder resamples its own positions: read at 6 x 6 cells, they were made for 4 x 4."""
    config = DeepseekOcr2SamVisionConfig(**sam_config(cells * 16), downsample_channels=[16, 32])
    model = randomise(DeepseekOcr2SamVisionEncoder(config))
    model.save_pretrained(folder)
    return Case(build_sam_vary(image_size), folder, lambda pixels: model(pixels).last_hidden_state)


write_got = partial(
    write_release,
    prefix="model.vision_tower_high.",
    others=("model.layers.0.mlp.up_proj.weight", "model.mm_projector_vary.weight", "lm_head.weight"),
)
CASES: Cases = {
    "GOT": partial(write_got, image_size=192, cells=12),
    "GOT, padded windows": write_got,
    "GOT, resampled positions": partial(write_got, image_size=192),
    "Vary-base": partial(
        write_release,
        prefix="transformer.vision_tower_high.",
        others=(
            "transformer.vision_tower.vision_model.post_layernorm.bias",
            "transformer.h.0.mlp.w1.weight",
            "lm_head.weight",
        ),
    ),
    "Vary-tiny": partial(
        write_release,
        prefix="model.vision_tower.",
        others=("model.decoder.layers.0.fc1.weight", "model.decoder.embed_positions.weight", "model.mm_projector.bias"),
    ),
    "Vary-tiny in LAVIS": partial(
        write_release,
        prefix="visual_encoder.",
        others=("opt_model.model.decoder.embed_tokens.weight", "opt_proj.weight"),
    ),
    "transformers GOT": write_transformers_got,
    "DeepSeek-OCR-2": write_deepseek,
    "resampled positions": partial(write_deepseek, image_size=128),
}
FULL_SIZE = FullSize(parameters=95_569_152, channels=1024, grid=16)  # Vary's vocabulary network
