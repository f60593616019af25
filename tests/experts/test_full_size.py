"""The full-size experts have the published numbers of parameters (built on the meta device, without memory), and run."""

import pytest
import torch

from eaglebench.config.build import build_factory, constructor_arguments
from eaglebench.config.schema import plain
from eaglebench.profiling.bench.expert_subject import PassVariant, prepare_expert
from eaglebench.profiling.bench.upstream import expert_implementations
from tests.conftest import EXPERTS, composed
from tests.helpers.upstream.cases import as_map

PUBLISHED = {
    # Eagle's CLIP at 336 without the final norm, plus 448 more rows of the position table at 448.
    "clip": 303_507_456 - 2 * 1024 + (32 * 32 - 24 * 24) * 1024,
    "convnext": 843_391_872,  # the trunk
    "pix2struct": 512_812_032,
    "eva02": 303_388_608 - 1024,  # less the position of the class token, which detectors do not have
    # Eagle counts a neck of one convolution, which its release starts at random; the pretrained one has a second one of 3 x 3.
    "sam": 307_687_936 + 256 * 256 * 9 + 2 * 256,
    "dinov2": 304_372_736 - 1024,  # less the mask token, which only its own training needs
    "sam_vary": 95_569_152,  # Vary's vocabulary network
}
MAPS = {
    "clip": (1024, 32),
    "convnext": (3072, 32),
    "pix2struct": (1536, 45),
    "eva02": (1024, 64),
    "sam": (1024, 32),
    "sam_vary": (1024, 16),
    "dinov2": (1024, 32),
}


@pytest.mark.parametrize("name", EXPERTS)
def test_full_size(name: str) -> None:
    cfg = composed("size=full", f"experts=[{name}]", f"experts.{name}.checkpoint=none", "data.train=x.json")
    with torch.device("meta"):
        expert = build_factory(cfg).build_expert(name)
    assert (expert.channels, expert.grid) == MAPS[name]
    assert sum(parameter.numel() for parameter in expert.parameters()) == PUBLISHED[name]


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("name", EXPERTS)
def test_a_forward_pass_at_full_size_gives_what_other_code_gives(name: str) -> None:
    """The promised map of one image, the same as by the library with the same weights, or else with attention written out."""
    cfg = composed("size=full", f"experts=[{name}]", f"experts.{name}.checkpoint=none", "data.train=x.json")
    config = {**constructor_arguments(plain(cfg.experts[name])), "unshuffle": 1}
    expert, pixels = prepare_expert(config, PassVariant(backward=False, dtype="float32", checkpointing=False), 1, "cpu")
    for key, parameter in expert.named_parameters():
        if "pos" in key:
            torch.nn.init.normal_(parameter, std=0.02)  # SAM's tables of positions begin at zero
    given = expert(pixels)
    channels, grid = MAPS[name]
    unshuffled = cfg.experts[name].unshuffle
    assert given.shape == (1, channels // unshuffled**2, grid * unshuffled, grid * unshuffled)
    assert given.isfinite().all()
    _, other, *_ = expert_implementations(expert)
    with expert_implementations(expert)[other] as forward:
        expected = as_map(forward(pixels), expert.grid)
    assert (given - expected).abs().max() < 1e-3 * expected.abs().max()
