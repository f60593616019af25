"""The full-size experts have the published numbers of parameters, and run."""

import pytest
import torch

from eaglebench.config.build import build_factory
from eaglebench.profiling.bench.expert_subject import PassVariant, prepare_expert
from eaglebench.profiling.bench.upstream import expert_implementations
from tests.conftest import composed
from tests.helpers.upstream.base import FullSize, as_map
from tests.helpers.upstream.cases import FULL_SIZES


@pytest.mark.parametrize(("name", "published"), FULL_SIZES.items())
def test_full_size(name: str, published: FullSize) -> None:
    config = composed("size=full", f"experts=[{name}]", f"experts.{name}.checkpoint=none", "data.train=x.json")
    with torch.device("meta"):
        expert = build_factory(config).build_expert(name)
    assert (expert.channels, expert.grid) == (published.channels, published.grid)
    assert sum(parameter.numel() for parameter in expert.parameters()) == published.parameters


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(("name", "published"), FULL_SIZES.items())
def test_a_forward_pass_at_full_size_gives_what_other_code_gives(name: str, published: FullSize) -> None:
    """The promised map of one image, the same as by the library with the same weights, or else by naive attention."""
    config = composed("size=full", f"experts=[{name}]", f"experts.{name}.checkpoint=none", "data.train=x.json")
    spec = config.experts[name].spec
    variant = PassVariant(backward=False, dtype="float32", checkpointing=False)
    expert, pixels = prepare_expert({**spec, "unshuffle": 1}, variant, 1, "cpu")
    for key, parameter in expert.named_parameters():
        if "pos" in key:
            torch.nn.init.normal_(parameter, std=0.02)  # SAM's start at zero
    features = expert(pixels)
    unshuffle = spec["unshuffle"]
    side = published.grid * unshuffle
    assert features.shape == (1, published.channels // unshuffle**2, side, side)
    assert features.isfinite().all()
    _, other, *_ = expert_implementations(expert)
    with expert_implementations(expert)[other] as forward:
        expected = as_map(forward(pixels), expert.grid)
    assert (features - expected).abs().max() < 1e-3 * expected.abs().max()
