"""Checkpoints of SAM, by segment_anything, transformers and Eagle's released code."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from eaglebench.experts.sam import Sam
from tests.helpers.upstream.base import SMALL, Case, Cases, FullSize, add_prefix, randomise


def sam_arguments(image_size: int) -> dict[str, Any]:
    """A window of 3 cells, which divides a grid of 6 or 12 and not one of 4."""
    return {"image_size": image_size, "window": 3, "global_blocks": (1,), "neck_channels": 8, **SMALL}


def sam_config(image_size: int) -> dict[str, Any]:
    """The same numbers as `sam_arguments`, in transformers' names."""
    return {
        "hidden_size": 32,
        "output_channels": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": image_size,
        "patch_size": 16,
        "window_size": 3,
        "global_attn_indexes": [1],
        "mlp_dim": 128,
    }


def build_segment_anything(image_size: int) -> ImageEncoderViT:
    return randomise(
        ImageEncoderViT(
            img_size=image_size,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=8,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=(1,),
        )
    )


def build_transformers(image_size: int) -> transformers.SamModel:
    return randomise(transformers.SamModel(transformers.SamConfig(vision_config=sam_config(image_size))))


def enlarge(small: nn.Module, large: nn.Module, blocks: str) -> nn.Module:
    """SAM's encoder `large`, with the weights of one for a smaller grid.

    Learned positions are resampled as transformers' relatives of SAM do. Relative ones are left to upstream's own code,
    which resamples those that do not fit.
    """
    weights = dict(small.state_dict())
    table = weights["pos_embed"].permute(0, 3, 1, 2)
    weights["pos_embed"] = F.interpolate(table, large.pos_embed.shape[1:3], mode="bicubic", antialias=True).permute(
        0, 2, 3, 1
    )
    for key in ("rel_pos_h", "rel_pos_w"):
        setattr(large.get_submodule(f"{blocks}.1.attn"), key, nn.Parameter(weights.pop(f"{blocks}.1.attn.{key}")))
    large.load_state_dict(weights, strict=False)
    return large


def write_segment_anything(folder: Path, image_size: int = 96) -> Case:
    model = build_segment_anything(image_size)
    weights = add_prefix("image_encoder.", model.state_dict()) | {"mask_decoder.iou_token.weight": torch.zeros(1, 8)}
    folder.mkdir()
    torch.save(weights, folder / "sam.pth")
    return Case(Sam(unshuffle=1, **sam_arguments(image_size)), folder / "sam.pth", model)


def write_short_neck(folder: Path) -> Case:
    """The tower of Eagle's released models: transformers' SAM with one convolution and norm for a neck."""
    config = transformers.SamConfig(vision_config=sam_config(96))
    model = randomise(transformers.SamModel(config)).vision_encoder
    del model.neck.conv2, model.neck.layer_norm2
    folder.mkdir()
    tower = add_prefix("model.vision_tower.vision_towers.2.vision_tower.", model.state_dict())
    save_file(tower, folder / "model.safetensors")

    def upstream(pixels: Tensor) -> Tensor:
        x = model.patch_embed(pixels) + model.pos_embed
        for layer in model.layers:
            x = layer(x)
        return model.neck.layer_norm1(model.neck.conv1(x.permute(0, 3, 1, 2)))

    return Case(Sam(unshuffle=1, neck="short", **sam_arguments(96)), folder, upstream)


def write_other_size(folder: Path) -> Case:
    """Positions of a grid of 4 for one of 6."""
    case = write_segment_anything(folder, 64)
    upstream = enlarge(case.upstream, build_segment_anything(96), "blocks")
    return Case(Sam(unshuffle=1, **sam_arguments(96)), case.checkpoint, upstream)


def write_transformers(folder: Path, image_size: int = 64, cells: int = 4) -> Case:
    """A model of `cells` x `cells` patches, for an expert of `image_size`."""
    model = build_transformers(cells * 16)
    model.save_pretrained(folder)
    encoder = model.vision_encoder
    if image_size != cells * 16:
        encoder = enlarge(encoder, build_transformers(image_size).vision_encoder, "layers")
    return Case(Sam(unshuffle=1, **sam_arguments(image_size)), folder, lambda pixels: encoder(pixels).last_hidden_state)


CASES: Cases = {
    "segment_anything": write_segment_anything,
    "padded windows": partial(write_segment_anything, image_size=64),
    "resampled positions": write_other_size,
    "transformers": partial(write_transformers, image_size=96, cells=6),
    "transformers, padded windows": write_transformers,
    "transformers, resampled positions": partial(write_transformers, image_size=96),
    "Eagle's short neck": write_short_neck,
}
# Eagle counts a neck of one convolution, which its release starts at random; the pretrained one has a second, 3 x 3.
FULL_SIZE = FullSize(parameters=307_687_936 + 256 * 256 * 9 + 2 * 256, channels=1024, grid=32)
