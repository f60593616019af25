"""Other implementations of an expert with the same weights: its upstream library's, and one with naive attention."""

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
from eaglebench.profiling.bench.measure import OURS, Forward, Implementations, use_unchanged

NAIVE = "naive attention"


def expert_implementations(expert: VisionExpert) -> Implementations:
    """Implementations of an expert by name.

    Each takes normalised pixels [B, 3, S, S] and gives features in its library's own shape.
    """
    found: dict[str, AbstractContextManager[Forward]] = {OURS: use_unchanged(expert)}
    match expert:
        case Clip() | Dinov2():
            found["transformers"] = use_unchanged(lambda pixels: expert.network(pixels).last_hidden_state)
        case Pix2Struct():
            found["transformers"] = use_unchanged(lambda pixels: run_pix2struct(expert, pixels))
        case ConvNeXt():
            found["timm"] = use_unchanged(expert.network)
        case Sam() | SamVary():
            return found | {f"segment_anything ({NAIVE})": use_naive_attention(expert)}
    if attention_modules(expert):
        found[NAIVE] = use_naive_attention(expert)
    return found


def run_pix2struct(expert: Pix2Struct, pixels: Tensor) -> Tensor:
    """The features [B, N, C] that transformers gives for pixels [B, 3, S, S], with its processor's patches and mask."""
    grid = expert.image_size // expert.patch_size
    patches = torch_extract_patches(pixels, expert.patch_size, expert.patch_size).reshape(len(pixels), grid**2, -1)
    lines = torch.arange(1, grid + 1, device=pixels.device)
    positions = torch.cartesian_prod(lines, lines).to(pixels).expand(len(pixels), -1, -1)
    flattened = torch.cat([positions, patches], dim=-1).to(expert.network.dtype)
    mask = torch.ones(flattened.shape[:2], device=pixels.device)
    features: Tensor = expert.network(flattened_patches=flattened, attention_mask=mask).last_hidden_state
    return features


@contextmanager
def use_naive_attention(expert: VisionExpert) -> Iterator[Forward]:
    """Compute attention as matrix product, softmax, matrix product within the context.

    segment_anything and Eagle's release compute it so.
    """
    fused, rotary, models = (
        [module for module in attention_modules(expert) if isinstance(module, kind)]
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


def attention_modules(expert: nn.Module) -> list[nn.Module]:
    """The modules of an expert whose attention can be made naive."""
    return [
        module for module in expert.modules() if isinstance(module, (FusedAttention, RotaryAttention, PreTrainedModel))
    ]
