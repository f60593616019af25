"""Experts as a config builds them, and their classes."""

import torch
from hydra.utils import get_class
from torch import Tensor

from eaglebench.config.build import build_factory
from eaglebench.config.compose import group_file, read_yaml
from eaglebench.experts.base import VisionExpert
from tests.conftest import composed


def build_expert(name: str, *overrides: str) -> VisionExpert:
    """The expert of a run that has it alone, with the weights of its checkpoint."""
    return build_factory(composed(f"experts=[{name}]", *overrides)).build_expert(name)


def expert_class(name: str) -> type[VisionExpert]:
    """The class that `conf/experts/NAME.yaml` names."""
    return get_class(read_yaml(group_file("experts", name))["experts"][name]["_target_"])


def assert_agrees(expert: VisionExpert, expected: Tensor, pixels: Tensor) -> None:
    """In float64, the expert computes `expected`, which has the shape that it promises."""
    with torch.no_grad():
        features = expert.eval().double()(pixels)
    assert features.shape == (len(pixels), expert.channels, expert.grid, expert.grid)
    assert (features - expected).abs().max() < 1e-6 * expected.abs().max()
