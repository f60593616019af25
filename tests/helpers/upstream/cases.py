"""Upstream encoders with random weights, small, and the files that their own libraries write of them.

Each case gives the expert that must read the file, the file, and upstream's own map [B, C, H, W] of normalised pixels.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
import transformers
from open_clip.model import resize_pos_embed
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import (
    DeepseekOcr2SamVisionConfig,
    DeepseekOcr2SamVisionEncoder,
)

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.clip import Clip
from eaglebench.experts.convnext import ConvNeXt
from eaglebench.experts.dinov2 import Dinov2
from eaglebench.experts.eva02 import Eva02
from eaglebench.experts.pix2struct import Pix2Struct
from eaglebench.experts.sam import Sam
from eaglebench.experts.sam_vary import SamVary
from tests.helpers.upstream.eva_reference import EvaReference

TEXT = {"context_length": 8, "vocab_size": 40, "width": 16, "heads": 2, "layers": 1}
SMALL = {"width": 32, "depth": 2, "heads": 2}


@dataclass
class Case:
    """An expert, a checkpoint that it must read, and what upstream makes of the pixels."""

    expert: VisionExpert
    checkpoint: Path
    upstream: Callable[[Tensor], Tensor]


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every parameter random: upstream starts some at zero, which hides errors."""
    for parameter in module.double().eval().parameters():
        nn.init.normal_(parameter, std=0.25)
    return module


def square(tokens: Tensor) -> Tensor:
    """Tokens [B, N, C] as a map."""
    side = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def as_map(features: Tensor, grid: int) -> Tensor:
    """A map as it is; of tokens, the patches, which come after class and register tokens, as one."""
    return features if features.ndim == 4 else square(features[:, -(grid**2) :])


def prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in weights.items()}


# ------------------------------------------------------------------------------------------------------------------ CLIP


def clip_config(image_size: int) -> transformers.CLIPVisionConfig:
    return transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=8,
        hidden_act="quick_gelu",
    )


def clip(image_size: int = 32) -> Clip:
    return Clip(image_size=image_size, patch_size=8, mlp_ratio=2, **SMALL)


def patches_before_the_last_norm(model: nn.Module, pixels: Tensor) -> Tensor:
    return square(model(pixels, output_hidden_states=True).hidden_states[-1][:, 1:])


def clip_vision_model(folder: Path) -> Case:
    model = randomised(transformers.CLIPVisionModel(clip_config(32)))
    model.save_pretrained(folder)
    return Case(clip(), folder, partial(patches_before_the_last_norm, model))


def clip_whole_model(folder: Path) -> Case:
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 40,
    }
    config = transformers.CLIPConfig(vision_config=clip_config(32).to_dict(), text_config=text)
    model = randomised(transformers.CLIPModel(config))
    model.save_pretrained(folder, max_shard_size="40KB")  # in shards, with an index
    return Case(clip(), folder, partial(patches_before_the_last_norm, model.vision_model))


def clip_without_class_token(folder: Path) -> Case:
    """Eagle's released code drops the token before the first norm, and runs the layers one by one."""
    model = randomised(transformers.CLIPVisionModel(clip_config(32)))
    model.save_pretrained(folder)

    def upstream(pixels: Tensor) -> Tensor:
        x = model.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        x = model.pre_layrnorm(x + model.embeddings.position_embedding.weight[1:])
        for layer in model.encoder.layers:
            x = layer(x, None)
        return square(x)

    return Case(Clip(image_size=32, patch_size=8, mlp_ratio=2, class_token=False, **SMALL), folder, upstream)


def clip_at_another_size(folder: Path) -> Case:
    """Positions of 4 x 4 cells for an image of 6 x 6: Eagle's bicubic resampling, here upstream at the larger size."""
    model = randomised(transformers.CLIPVisionModel(clip_config(32)))
    model.save_pretrained(folder)
    larger = transformers.CLIPVisionModel(clip_config(48)).double().eval()
    weights = model.state_dict()
    table = weights["embeddings.position_embedding.weight"]
    grid = F.interpolate(square(table[None, 1:]), (6, 6), mode="bicubic", antialias=True)
    weights["embeddings.position_embedding.weight"] = torch.cat([table[:1], grid[0].flatten(1).T])
    larger.load_state_dict(weights)
    return Case(clip(48), folder, partial(patches_before_the_last_norm, larger))


def clip_open_clip(folder: Path, image_size: int = 32) -> Case:
    """A file of 4 x 4 cells, whose positions open_clip resamples itself."""
    vision = {"layers": 2, "width": 32, "head_width": 16, "mlp_ratio": 2, "patch_size": 8, "image_size": 32}
    model = randomised(open_clip.CLIP(24, vision, TEXT, quick_gelu=True))
    folder.mkdir(exist_ok=True)
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )

    if image_size != 32:
        weights = model.state_dict()
        model = open_clip.CLIP(24, {**vision, "image_size": image_size}, TEXT, quick_gelu=True).double().eval()
        resize_pos_embed(weights, model)
        model.load_state_dict(weights)

    def upstream(pixels: Tensor) -> Tensor:
        seen = []
        hook = model.visual.transformer.register_forward_hook(lambda module, inputs, output: seen.append(output))
        model.visual(pixels)
        hook.remove()
        return square(seen[0][:, 1:])

    return Case(clip(image_size), folder, upstream)


# -------------------------------------------------------------------------------------------------------------- ConvNeXt


def convnext() -> ConvNeXt:
    return ConvNeXt(image_size=64, depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), norm_eps=1e-5)


def timm_convnext() -> TimmConvNeXt:
    return randomised(TimmConvNeXt(num_classes=5, depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), norm_eps=1e-5))


def convnext_timm(folder: Path) -> Case:
    model = timm_convnext()
    folder.mkdir()
    torch.save(model.state_dict(), folder / "convnext.pth")
    return Case(convnext(), folder / "convnext.pth", model.forward_features)


def convnext_open_clip(folder: Path) -> Case:
    vision = {
        "timm_model_name": "convnext_tiny",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 64,
    }
    model = randomised(open_clip.CLIP(24, vision, TEXT))
    folder.mkdir()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "open_clip_pytorch_model.bin")
    trunk = model.visual.trunk
    expert = ConvNeXt(image_size=64, depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), norm_eps=1e-6)
    return Case(expert, folder, lambda pixels: trunk.stages(trunk.stem(pixels)))


# ------------------------------------------------------------------------------------------------------------ Pix2Struct

PIX2STRUCT = {
    "hidden_size": 32,
    "d_ff": 48,
    "d_kv": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "seq_len": 20,
    "patch_size": 16,
    "patch_embed_hidden_size": 768,
}


def pix2struct(image_size: int = 64) -> Pix2Struct:
    return Pix2Struct(image_size=image_size, mlp_width=48, positions=20, **SMALL)


def pix2struct_of(model: nn.Module, pixels: Tensor) -> Tensor:
    """Upstream's patches carry their row and column in front."""
    patches = F.unfold(pixels, 16, stride=16).unflatten(1, (3, 256)).permute(0, 3, 2, 1).flatten(2)
    lines = torch.arange(1.0, pixels.shape[-1] // 16 + 1)
    ids = torch.cartesian_prod(lines, lines).to(pixels)
    flattened = torch.cat([ids.expand(len(pixels), -1, -1), patches], dim=2)
    return square(model(flattened_patches=flattened).last_hidden_state)


def pix2struct_vision(folder: Path, image_size: int = 64) -> Case:
    model = randomised(transformers.Pix2StructVisionModel(transformers.Pix2StructVisionConfig(**PIX2STRUCT)))
    model.save_pretrained(folder)
    return Case(pix2struct(image_size), folder, partial(pix2struct_of, model))


def pix2struct_whole(folder: Path) -> Case:
    text = {"hidden_size": 32, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 16, "vocab_size": 40}
    config = transformers.Pix2StructConfig(vision_config=PIX2STRUCT, text_config=text)
    model = randomised(transformers.Pix2StructForConditionalGeneration(config))
    model.save_pretrained(folder)
    return Case(pix2struct(), folder, partial(pix2struct_of, model.encoder))


# ---------------------------------------------------------------------------------------------------------------- EVA-02


def eva02_detection(
    folder: Path, image_size: int = 64, wrapper: str | None = "ema_state", prefix: str = "backbone.net."
) -> Case:
    """Windows of 4 in a grid of 4 or more, positions of 3 x 3 with a class token, rotary positions of a grid of 5."""
    model = randomised(
        EvaReference(width=32, heads=2, depth=3, patch=16, window=4, global_blocks=(1,), positions=3, trained=5)
    )
    weights = prefixed(prefix, model.state_dict())
    weights |= {f"{prefix}blocks.0.attn.rope.freqs_cos": torch.zeros(16, 16), "roi_heads.box.weight": torch.zeros(1)}
    folder.mkdir()
    torch.save({wrapper: weights, "iteration": 7} if wrapper else weights, folder / "eva02.pth")
    expert = Eva02(
        image_size=image_size,
        width=32,
        depth=3,
        heads=2,
        window=4,
        global_blocks=(1,),
        position_grid=3,
        rope_grid=5,
    )
    return Case(expert, folder / "eva02.pth", model)


# ------------------------------------------------------------------------------------------------------------------- SAM


def sam_arguments(image_size: int) -> dict[str, object]:
    """A window of 3 cells, which divides a grid of 6 or 12 and not one of 4."""
    return {"image_size": image_size, "window": 3, "global_blocks": (1,), "neck_channels": 8, **SMALL}


def segment_anything(image_size: int) -> ImageEncoderViT:
    return randomised(
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


def sam_segment_anything(folder: Path, image_size: int = 96) -> Case:
    model = segment_anything(image_size)
    weights = prefixed("image_encoder.", model.state_dict()) | {"mask_decoder.iou_token.weight": torch.zeros(1, 8)}
    folder.mkdir()
    torch.save(weights, folder / "sam.pth")
    return Case(Sam(unshuffle=1, **sam_arguments(image_size)), folder / "sam.pth", model)


def sam_with_a_short_neck(folder: Path) -> Case:
    """The tower of Eagle's released models: transformers' SAM with one convolution and norm for a neck."""
    config = transformers.SamConfig(vision_config=sam_config(96))
    model = randomised(transformers.SamModel(config)).vision_encoder
    del model.neck.conv2, model.neck.layer_norm2
    folder.mkdir()
    tower = prefixed("model.vision_tower.vision_towers.2.vision_tower.", model.state_dict())
    save_file(tower, folder / "model.safetensors")

    def upstream(pixels: Tensor) -> Tensor:
        x = model.patch_embed(pixels) + model.pos_embed
        for layer in model.layers:
            x = layer(x)
        return model.neck.layer_norm1(model.neck.conv1(x.permute(0, 3, 1, 2)))

    return Case(Sam(unshuffle=1, neck="short", **sam_arguments(96)), folder, upstream)


def sam_at_another_size(folder: Path) -> Case:
    """Tables of a grid of 4 for one of 6."""
    case = sam_segment_anything(folder, 64)
    return Case(
        Sam(unshuffle=1, **sam_arguments(96)), case.checkpoint, enlarged(case.upstream, segment_anything(96), "blocks")
    )


def enlarged(small: nn.Module, large: nn.Module, blocks: str) -> nn.Module:
    """SAM's encoder `large`, with the weights of one of a smaller grid: learned positions resampled as transformers' SAM relatives
    do, relative ones left to upstream's own code, which resamples those that do not fit."""
    weights = dict(small.state_dict())
    table = weights["pos_embed"].permute(0, 3, 1, 2)
    weights["pos_embed"] = F.interpolate(table, large.pos_embed.shape[1:3], mode="bicubic", antialias=True).permute(
        0, 2, 3, 1
    )
    for key in ("rel_pos_h", "rel_pos_w"):
        setattr(large.get_submodule(f"{blocks}.1.attn"), key, nn.Parameter(weights.pop(f"{blocks}.1.attn.{key}")))
    large.load_state_dict(weights, strict=False)
    return large


def sam_config(image_size: int) -> dict[str, object]:
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


def sam_model(image_size: int) -> transformers.SamModel:
    return randomised(transformers.SamModel(transformers.SamConfig(vision_config=sam_config(image_size))))


def sam_transformers(folder: Path, image_size: int = 64, cells: int = 4) -> Case:
    model = sam_model(cells * 16)
    model.save_pretrained(folder)
    encoder = model.vision_encoder
    if image_size != cells * 16:
        encoder = enlarged(encoder, sam_model(image_size).vision_encoder, "layers")
    return Case(Sam(unshuffle=1, **sam_arguments(image_size)), folder, lambda pixels: encoder(pixels).last_hidden_state)


# -------------------------------------------------------------------------------------------------------------- SAM-Vary


class Vary(nn.Module):
    """Vary's tower: segment_anything's encoder with two more convolutions, under Vary's names."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.encoder = segment_anything(image_size)
        self.net_2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net_3(self.net_2(self.encoder(pixels)))


def sam_vary(image_size: int) -> SamVary:
    return SamVary(channels=32, **sam_arguments(image_size))


def sam_vary_original(folder: Path, prefix: str, others: Sequence[str], image_size: int = 64, cells: int = 4) -> Case:
    """The layouts of the Vary family's own releases: the tower among the weights of other models."""
    model = randomised(Vary(cells * 16))
    weights = {key.removeprefix("encoder."): value for key, value in model.state_dict().items()}
    weights = prefixed(prefix, weights) | {key: torch.zeros(1) for key in others}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    if image_size != cells * 16:
        model.encoder = enlarged(model.encoder, segment_anything(image_size), "blocks")
    return Case(sam_vary(image_size), folder, model)


def sam_vary_transformers_got(folder: Path) -> Case:
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
    model = randomised(transformers.GotOcr2ForConditionalGeneration(config))
    model.save_pretrained(folder)
    projector = model.model.multi_modal_projector

    def upstream(pixels: Tensor) -> Tensor:
        features = model.model.vision_tower(pixels).last_hidden_state
        return projector.conv_upsampler2(projector.conv_upsampler1(features))

    arguments = sam_arguments(64)
    expert = SamVary(channels=projector.conv_upsampler2.out_channels, **arguments)
    return Case(expert, folder, upstream)


def sam_vary_deepseek(folder: Path, image_size: int = 64, cells: int = 4) -> Case:
    """DeepSeek-OCR-2's encoder resamples its own positions: read at 6 x 6 cells, they were made for 4 x 4."""
    config = DeepseekOcr2SamVisionConfig(**sam_config(cells * 16), downsample_channels=[16, 32])
    model = randomised(DeepseekOcr2SamVisionEncoder(config))
    model.save_pretrained(folder)
    return Case(sam_vary(image_size), folder, lambda pixels: model(pixels).last_hidden_state)


# ---------------------------------------------------------------------------------------------------------------- DINOv2


def dinov2(image_size: int) -> Dinov2:
    return Dinov2(image_size=image_size, patch_size=8, pretrained_size=32, **SMALL)


def dinov2_transformers(folder: Path, image_size: int = 32) -> Case:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    model = randomised(transformers.Dinov2WithRegistersModel(config))
    model.save_pretrained(folder)
    return Case(dinov2(image_size), folder, lambda pixels: square(model(pixels).last_hidden_state[:, 5:]))


def dinov2_facebook(folder: Path) -> Case:
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
    return Case(dinov2(32), folder / "dinov2_reg4.pth", lambda pixels: square(model.eval()(pixels)[:, 5:]))


# ----------------------------------------------------------------------------------------------------------------- Eagle


def eagle(folder: Path) -> dict[str, Case]:
    """A released Eagle model in miniature: a mixture's towers in shards of one checkpoint, two to a shard."""
    convolutions = timm_convnext()
    towers = {
        "clip": randomised(transformers.CLIPVisionModelWithProjection(clip_config(32))).vision_model,
        "convnext": convolutions,
        "eva02": randomised(
            EvaReference(width=32, heads=2, depth=3, patch=16, window=4, global_blocks=(1,), positions=3, trained=5)
        ),
        "pix2struct": randomised(transformers.Pix2StructVisionModel(transformers.Pix2StructVisionConfig(**PIX2STRUCT))),
    }
    folder.mkdir()
    shards: dict[str, dict[str, Tensor]] = {"a.safetensors": {"model.norm.weight": torch.zeros(2)}, "b.safetensors": {}}
    for number, (name, tower) in enumerate(towers.items()):
        weights = tower.state_dict()
        if name == "clip":
            weights = prefixed("vision_model.", weights)
        if name == "convnext":  # the release's own name of the layer scale
            weights = {key.replace(".gamma", ".weight"): value for key, value in weights.items()}
        shard = shards["ab"[number % 2] + ".safetensors"]
        shard |= prefixed(f"model.vision_tower.vision_towers.{number}.vision_tower.", weights)
    for name, weights in shards.items():
        save_file(weights, folder / name)
    places = {key: name for name, weights in shards.items() for key in weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    eva = eva02_detection(folder / "eva").expert
    return {
        "clip": Case(clip(), folder, partial(patches_before_the_last_norm, towers["clip"])),
        "convnext": Case(convnext(), folder, convolutions.forward_features),
        "eva02": Case(eva, folder, towers["eva02"]),
        "pix2struct": Case(pix2struct(), folder, partial(pix2struct_of, towers["pix2struct"])),
    }


got = partial(
    sam_vary_original,
    prefix="model.vision_tower_high.",
    others=("model.layers.0.mlp.up_proj.weight", "model.mm_projector_vary.weight", "lm_head.weight"),
)
CASES: dict[str, Callable[[Path], Case]] = {
    "clip: transformers": clip_vision_model,
    "clip: transformers, whole and sharded": clip_whole_model,
    "clip: without a class token": clip_without_class_token,
    "clip: resampled positions": clip_at_another_size,
    "clip: open_clip": clip_open_clip,
    "clip: open_clip, resampled positions": partial(clip_open_clip, image_size=48),
    "convnext: timm": convnext_timm,
    "convnext: open_clip": convnext_open_clip,
    "pix2struct: transformers": pix2struct_vision,
    "pix2struct: transformers, a larger grid": partial(pix2struct_vision, image_size=96),
    "pix2struct: transformers, whole": pix2struct_whole,
    "eva02: detection": eva02_detection,
    "eva02: padded windows": partial(eva02_detection, image_size=96, wrapper="module"),
    "eva02: not wrapped, no prefix": partial(eva02_detection, image_size=128, wrapper=None, prefix=""),
    "sam: segment_anything": sam_segment_anything,
    "sam: padded windows": partial(sam_segment_anything, image_size=64),
    "sam: resampled positions": sam_at_another_size,
    "sam: transformers": partial(sam_transformers, image_size=96, cells=6),
    "sam: transformers, padded windows": sam_transformers,
    "sam: transformers, resampled positions": partial(sam_transformers, image_size=96),
    "sam: Eagle's short neck": sam_with_a_short_neck,
    "sam_vary: GOT": partial(got, image_size=192, cells=12),
    "sam_vary: GOT, padded windows": got,
    "sam_vary: GOT, resampled positions": partial(got, image_size=192),
    "sam_vary: Vary-base": partial(
        sam_vary_original,
        prefix="transformer.vision_tower_high.",
        others=(
            "transformer.vision_tower.vision_model.post_layernorm.bias",
            "transformer.h.0.mlp.w1.weight",
            "lm_head.weight",
        ),
    ),
    "sam_vary: Vary-tiny": partial(
        sam_vary_original,
        prefix="model.vision_tower.",
        others=("model.decoder.layers.0.fc1.weight", "model.decoder.embed_positions.weight", "model.mm_projector.bias"),
    ),
    "sam_vary: Vary-tiny in LAVIS": partial(
        sam_vary_original,
        prefix="visual_encoder.",
        others=("opt_model.model.decoder.embed_tokens.weight", "opt_proj.weight"),
    ),
    "sam_vary: transformers GOT": sam_vary_transformers_got,
    "sam_vary: DeepSeek-OCR-2": sam_vary_deepseek,
    "sam_vary: resampled positions": partial(sam_vary_deepseek, image_size=128),
    "dinov2: transformers": dinov2_transformers,
    "dinov2: resampled positions": partial(dinov2_transformers, image_size=48),
    "dinov2: Meta's release": dinov2_facebook,
}
