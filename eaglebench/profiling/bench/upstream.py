"""The same weights computed otherwise: by the library that they come from, or with attention that holds its softmax."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from segment_anything.modeling.image_encoder import Attention
from timm.models.eva import EvaAttention
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.pix2struct.image_processing_pix2struct import torch_extract_patches

from eaglebench.experts.base import VisionExpert
from eaglebench.experts.clip import Clip
from eaglebench.experts.convnext import ConvNeXt
from eaglebench.experts.dinov2 import Dinov2
from eaglebench.experts.eva02 import RotaryAttention
from eaglebench.experts.pix2struct import Pix2Struct
from eaglebench.experts.sam import FusedAttention, Sam
from eaglebench.experts.sam_vary import SamVary
from eaglebench.profiling.bench.measure import OURS, Forward, Ways, as_it_is

WRITTEN_OUT = "attention written out"


def ways(expert: VisionExpert) -> Ways:
    """How the expert's weights can be run on normalised pixels: as here, and beside it by other code, each within its context."""
    found: dict[str, AbstractContextManager[Forward]] = {OURS: as_it_is(expert)}
    match expert:
        case Clip() | Dinov2():
            found["transformers"] = as_it_is(lambda pixels: expert.network(pixels).last_hidden_state)
        case Pix2Struct():
            found["transformers"] = as_it_is(lambda pixels: pix2struct(expert, pixels))
        case ConvNeXt():
            found["timm"] = as_it_is(expert.network)
        case Sam() | SamVary():
            return found | {f"segment_anything ({WRITTEN_OUT})": written_out(expert)}
    if attentions(expert):
        found[WRITTEN_OUT] = written_out(expert)
    return found


def pix2struct(expert: Pix2Struct, pixels: Tensor) -> Tensor:
    """transformers' own way from pixels [B, 3, S, S]: its processor's patches, and its mask of them."""
    grid = expert.image_size // expert.patch_size
    patches = torch_extract_patches(pixels, expert.patch_size, expert.patch_size).reshape(len(pixels), grid**2, -1)
    lines = torch.arange(1, grid + 1, device=pixels.device)
    places = torch.cartesian_prod(lines, lines).to(pixels).expand(len(pixels), -1, -1)
    flattened = torch.cat([places, patches], dim=-1).to(expert.network.dtype)
    mask = torch.ones(flattened.shape[:2], device=pixels.device)
    features: Tensor = expert.network(flattened_patches=flattened, attention_mask=mask).last_hidden_state
    return features


@contextmanager
def written_out(expert: VisionExpert) -> Iterator[Forward]:
    """Within it, attention is matrix product, softmax, matrix product, as in segment_anything and Eagle's release."""
    fused, rotary, models = (
        [module for module in attentions(expert) if isinstance(module, kind)]
        for kind in (FusedAttention, RotaryAttention, PreTrainedModel)
    )
    before = [model.config._attn_implementation for model in models]
    for module in fused:
        module.__class__ = Attention
    for module in rotary:
        module.__class__, module.fused_attn = EvaAttention, False
    for model in models:
        model.set_attn_implementation("eager")
    try:
        yield expert
    finally:
        for module in fused:
            module.__class__ = FusedAttention
        for module in rotary:
            module.__class__ = RotaryAttention
        for model, name in zip(models, before, strict=True):
            model.set_attn_implementation(name)


def attentions(expert: nn.Module) -> list[nn.Module]:
    """The modules of an expert whose attention can be written out."""
    return [
        module for module in expert.modules() if isinstance(module, (FusedAttention, RotaryAttention, PreTrainedModel))
    ]
