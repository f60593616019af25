"""Checkpoints of CLIP, by transformers and open_clip."""

from functools import partial
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
import transformers
from open_clip.model import resize_pos_embed
from safetensors.torch import save_file
from torch import Tensor, nn

from eaglebench.experts.clip import Clip
from tests.helpers.upstream.base import OPEN_CLIP_TEXT_TOWER, SMALL, Case, Cases, FullSize, randomise, to_square


def vision_config(image_size: int) -> transformers.CLIPVisionConfig:
    return transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=8,
        hidden_act="quick_gelu",
    )


def build_clip(image_size: int = 32) -> Clip:
    return Clip(image_size=image_size, patch_size=8, mlp_ratio=2, **SMALL)


def run_without_last_norm(model: nn.Module, pixels: Tensor) -> Tensor:
    """The patches before the final norm of transformers' vision model."""
    return to_square(model(pixels, output_hidden_states=True).hidden_states[-1][:, 1:])


def write_vision_model(folder: Path) -> Case:
    model = randomise(transformers.CLIPVisionModel(vision_config(32)))
    model.save_pretrained(folder)
    return Case(build_clip(), folder, partial(run_without_last_norm, model))


def write_whole_model(folder: Path) -> Case:
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 40,
    }
    config = transformers.CLIPConfig(vision_config=vision_config(32).to_dict(), text_config=text)
    model = randomise(transformers.CLIPModel(config))
    model.save_pretrained(folder, max_shard_size="40KB")  # in shards, with an index
    return Case(build_clip(), folder, partial(run_without_last_norm, model.vision_model))


def write_without_class_token(folder: Path) -> Case:
    """Eagle's released code drops the token before the first norm, and runs the layers one by one."""
    model = randomise(transformers.CLIPVisionModel(vision_config(32)))
    model.save_pretrained(folder)

    def upstream(pixels: Tensor) -> Tensor:
        x = model.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        x = model.pre_layrnorm(x + model.embeddings.position_embedding.weight[1:])
        for layer in model.encoder.layers:
            x = layer(x, None)
        return to_square(x)

    return Case(Clip(image_size=32, patch_size=8, mlp_ratio=2, class_token=False, **SMALL), folder, upstream)


def write_other_size(folder: Path) -> Case:
    """Positions of 4 x 4 cells for an image of 6 x 6: Eagle's bicubic resampling, here upstream at the larger size."""
    model = randomise(transformers.CLIPVisionModel(vision_config(32)))
    model.save_pretrained(folder)
    larger = transformers.CLIPVisionModel(vision_config(48)).double().eval()
    weights = model.state_dict()
    table = weights["embeddings.position_embedding.weight"]
    grid = F.interpolate(to_square(table[None, 1:]), (6, 6), mode="bicubic", antialias=True)
    weights["embeddings.position_embedding.weight"] = torch.cat([table[:1], grid[0].flatten(1).T])
    larger.load_state_dict(weights)
    return Case(build_clip(48), folder, partial(run_without_last_norm, larger))


def write_open_clip(folder: Path, image_size: int = 32) -> Case:
    """A file of 4 x 4 cells, whose positions open_clip resamples itself."""
    vision = {"layers": 2, "width": 32, "head_width": 16, "mlp_ratio": 2, "patch_size": 8, "image_size": 32}
    model = randomise(open_clip.CLIP(24, vision, OPEN_CLIP_TEXT_TOWER, quick_gelu=True))
    folder.mkdir(exist_ok=True)
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )

    if image_size != 32:
        weights = model.state_dict()
        vision = {**vision, "image_size": image_size}
        model = open_clip.CLIP(24, vision, OPEN_CLIP_TEXT_TOWER, quick_gelu=True).double().eval()
        resize_pos_embed(weights, model)
        model.load_state_dict(weights)

    def upstream(pixels: Tensor) -> Tensor:
        seen = []
        hook = model.visual.transformer.register_forward_hook(lambda module, inputs, output: seen.append(output))
        model.visual(pixels)
        hook.remove()
        return to_square(seen[0][:, 1:])

    return Case(build_clip(image_size), folder, upstream)


CASES: Cases = {
    "transformers": write_vision_model,
    "transformers, whole and sharded": write_whole_model,
    "without a class token": write_without_class_token,
    "resampled positions": write_other_size,
    "open_clip": write_open_clip,
    "open_clip, resampled positions": partial(write_open_clip, image_size=48),
}
# Eagle's CLIP at 336 without the final norm, plus 448 more rows of position embeddings at 448.
FULL_SIZE = FullSize(parameters=303_507_456 - 2 * 1024 + (32 * 32 - 24 * 24) * 1024, channels=1024, grid=32)
