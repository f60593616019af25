"""Every fusion at its tiny size, forward and backward, against the same in float64 on the CPU."""

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from eaglebench.config.build import build_factory
from eaglebench.fusion.base import FeatureInfo, Fusion
from eaglebench.model.factory import ModelFactory, collect_feature_info
from eaglebench.profiling.bench.fusion_subject import PrecomputedExpert
from tests.conftest import FUSIONS, composed
from tests.gpu.passes import PRECISIONS, Pass, Precision, Probe, assert_near, run_pass

IMAGES, WIDTH = 2, 128
# A vision transformer as the base, one whose map has the grid of the base, and two pyramids with maps of other sides.
EXPERTS = ("clip", "sam", "convnext", "sam_vary")
CHOICE = {"mova": ["fusion.top=2"]}  # of three: its gate has to choose
BLOCKS = "blocks"  # the input that stands in for the map between the blocks of an expert


class OnMaps(nn.Module):
    """A fusion as a network of named inputs: the maps of its experts as `NAME/INDEX`, the own map the last of each, and
    `NAME/blocks`.
    """

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        experts: dict[str, nn.Module] = {}
        maps: dict[str, list[Tensor]] = {}
        for name in self.fusion.experts:
            own = {key.rpartition("/")[2]: value for key, value in inputs.items() if key.startswith(f"{name}/")}
            experts[name] = PrecomputedExpert(own.pop(BLOCKS, None))
            maps[name] = list(own.values())
        return self.fusion(experts, maps)


def build_fusion_factory(*overrides: str) -> ModelFactory:
    return build_factory(composed(f"experts=[{','.join(EXPERTS)}]", *overrides))


@cache
def feature_infos() -> dict[str, FeatureInfo]:
    factory = build_fusion_factory()
    with torch.device("meta"):
        return {name: collect_feature_info(factory.build_untrained_expert(name)) for name in EXPERTS}


@cache
def probe_and_exact_pass(name: str) -> tuple[Probe, Pass]:
    generator = torch.Generator().manual_seed(2)
    inputs: dict[str, Tensor] = {}
    for expert, info in feature_infos().items():
        shapes = {str(index): shape for index, shape in enumerate((*info.levels, (info.channels, info.grid)))}
        if info.block_map is not None:
            shapes[BLOCKS] = info.block_map
        for key, (channels, side) in shapes.items():
            inputs[f"{expert}/{key}"] = torch.randn(IMAGES, channels, side, side, generator=generator)
    factory = build_fusion_factory(f"fusion={name}", *CHOICE.get(name, ()))
    fusion = factory.build_seeded("fusion", lambda: factory.make_fusion(experts=feature_infos(), width=WIDTH))
    probe = Probe(OnMaps(fusion), inputs)
    return probe, run_pass(probe, "cpu", torch.float64)


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("name", FUSIONS)
def test_visual_tokens_and_gradients_are_those_of_float64(name: str, precision: Precision, device: str) -> None:
    probe, exact = probe_and_exact_pass(name)
    network = {key for key, _ in probe.named_parameters() if key.startswith("network.")}
    assert network <= exact.gradients.keys()
    for expert in EXPERTS:  # of its maps, a fusion takes the own one, or some of the others
        assert any(key.startswith(f"inputs.{expert}/") for key in exact.gradients)
    assert_near(run_pass(probe, device, autocast=precision.autocast), exact, precision)
