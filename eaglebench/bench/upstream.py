"""An expert with attention as segment_anything and Eagle's release write it: matrix product, softmax, matrix product."""

from collections.abc import Iterator
from contextlib import contextmanager

from segment_anything.modeling.image_encoder import Attention
from timm.models.eva import EvaAttention
from torch import nn
from transformers import PreTrainedModel

from eaglebench.experts.sam import FusedAttention


@contextmanager
def written_out(expert: nn.Module) -> Iterator[bool]:
    """Within it, attention holds its softmax, as segment_anything's does; gives whether the expert has any attention to change."""
    fused = [module for module in expert.modules() if isinstance(module, FusedAttention)]
    rotary = [module for module in expert.modules() if isinstance(module, EvaAttention)]
    models = [module for module in expert.modules() if isinstance(module, PreTrainedModel)]
    before = [model.config._attn_implementation for model in models]
    were_fused = [module.fused_attn for module in rotary]
    for module in fused:
        module.__class__ = Attention
    for module in rotary:
        module.fused_attn = False
    for model in models:
        model.set_attn_implementation("eager")
    try:
        yield bool(fused or rotary or models)
    finally:
        for module in fused:
            module.__class__ = FusedAttention
        for module, was in zip(rotary, were_fused, strict=True):
            module.fused_attn = was
        for model, name in zip(models, before, strict=True):
            model.set_attn_implementation(name)
