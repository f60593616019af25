"""A released Eagle model in miniature: the towers of a mixture in one sharded checkpoint."""

import json
from functools import partial
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from tests.helpers.upstream.base import Case, add_prefix, randomise
from tests.helpers.upstream.clip import build_clip, run_without_last_norm, vision_config
from tests.helpers.upstream.convnext import build_convnext, build_timm_convnext
from tests.helpers.upstream.eva02 import build_eva02, build_reference
from tests.helpers.upstream.pix2struct import VISION_CONFIG, build_pix2struct, run_pix2struct


def write_eagle(folder: Path) -> dict[str, Case]:
    """Write the checkpoint, with every second tower in the same shard; the case of each expert by its name."""
    convolutions = build_timm_convnext()
    towers = {
        "clip": randomise(transformers.CLIPVisionModelWithProjection(vision_config(32))).vision_model,
        "convnext": convolutions,
        "eva02": build_reference(),
        "pix2struct": randomise(
            transformers.Pix2StructVisionModel(transformers.Pix2StructVisionConfig(**VISION_CONFIG))
        ),
    }
    folder.mkdir()
    shards: dict[str, dict[str, Tensor]] = {"a.safetensors": {"model.norm.weight": torch.zeros(2)}, "b.safetensors": {}}
    for number, (name, tower) in enumerate(towers.items()):
        weights = tower.state_dict()
        if name == "clip":
            weights = add_prefix("vision_model.", weights)
        if name == "convnext":  # the release's own name of the layer scale
            weights = {key.replace(".gamma", ".weight"): value for key, value in weights.items()}
        shard = shards["ab"[number % 2] + ".safetensors"]
        shard |= add_prefix(f"model.vision_tower.vision_towers.{number}.vision_tower.", weights)
    for name, weights in shards.items():
        save_file(weights, folder / name)
    weight_map = {key: name for name, weights in shards.items() for key in weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return {
        "clip": Case(build_clip(), folder, partial(run_without_last_norm, towers["clip"])),
        "convnext": Case(build_convnext(), folder, convolutions.forward_features),
        "eva02": Case(build_eva02(), folder, towers["eva02"]),
        "pix2struct": Case(build_pix2struct(), folder, partial(run_pix2struct, towers["pix2struct"])),
    }
