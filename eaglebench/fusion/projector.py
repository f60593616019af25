"""The projector between vision and language."""

from torch import nn


def mlp_projector(channels: int, width: int, hidden: int | None = None, norm: bool = False) -> nn.Sequential:
    """LLaVA-1.5's two-layer MLP with exact GELU, from C to D; with `norm`, a LayerNorm on its input.

    Its `hidden` layer is D wide unless told otherwise, as LLaVA's: there it widens what goes in, and a small language model's width
    would narrow it.
    """
    hidden = hidden or width
    layers = [nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, width)]
    return nn.Sequential(nn.LayerNorm(channels), *layers) if norm else nn.Sequential(*layers)
