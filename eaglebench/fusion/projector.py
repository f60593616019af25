"""The projector between vision and language."""

from torch import nn


def mlp_projector(channels: int, width: int, norm: bool = False) -> nn.Sequential:
    """LLaVA-1.5's two-layer MLP with exact GELU, from C to D; with `norm`, a LayerNorm on its input.

    Training from scratch does not start without the norm at useful learning rates; the papers' pretrained models have none.
    """
    layers = [nn.Linear(channels, width), nn.GELU(), nn.Linear(width, width)]
    return nn.Sequential(nn.LayerNorm(channels), *layers) if norm else nn.Sequential(*layers)
