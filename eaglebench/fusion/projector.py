"""The projector between the vision side and the language model."""

from torch import nn


def mlp_projector(channels: int, width: int, hidden: int | None = None, norm: bool = False) -> nn.Sequential:
    """Build LLaVA-1.5's projector: a two-layer MLP with exact GELU, from C channels to the language model's width D.

    Args:
        channels: C of the input tokens.
        width: D of the output tokens.
        hidden: width of the hidden layer; None: D, as in LLaVA. There D exceeds C; the narrow language models of small
            runs would make it a bottleneck.
        norm: put a LayerNorm on the input.
    """
    hidden = hidden or width
    layers = [nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, width)]
    return nn.Sequential(nn.LayerNorm(channels), *layers) if norm else nn.Sequential(*layers)
