"""Every expert at its tiny size, forward and backward, against the same in float64 on the CPU."""

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from eaglebench.config.build import build_factory
from eaglebench.experts.base import VisionExpert
from eaglebench.model.factory import ModelFactory
from tests.conftest import EXPERTS, composed
from tests.gpu.passes import PRECISIONS, Pass, Precision, Probe, assert_near, run_pass

IMAGES = 2


class OnPixels(nn.Module):
    """An expert as a network of named inputs: the normalised pixels."""

    def __init__(self, expert: VisionExpert) -> None:
        super().__init__()
        self.expert = expert

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.expert(inputs["pixels"])


@cache
def factory() -> ModelFactory:
    return build_factory(composed(f"experts=[{','.join(EXPERTS)}]"))


@cache
def probe_and_exact_pass(name: str) -> tuple[Probe, Pass]:
    expert = factory().build_untrained_expert(name)
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn(IMAGES, 3, expert.image_size, expert.image_size, generator=generator)
    probe = Probe(OnPixels(expert), {"pixels": pixels})
    return probe, run_pass(probe, "cpu", torch.float64)


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("name", EXPERTS)
def test_maps_and_gradients_are_those_of_float64(name: str, precision: Precision, device: str) -> None:
    probe, exact = probe_and_exact_pass(name)
    assert exact.gradients.keys() == dict(probe.named_parameters()).keys()
    assert_near(run_pass(probe, device, autocast=precision.autocast), exact, precision)


@pytest.mark.parametrize("name", EXPERTS)
def test_pixels_are_prepared_as_on_the_cpu(name: str, device: str) -> None:
    """At once, and on the CPU one image after the other. Shrinking adds some dozen numbers in another order."""
    expert = factory().build_untrained_expert(name)
    side = 2 * expert.image_size + 10
    images = torch.randint(0, 256, (IMAGES, 3, side, side), dtype=torch.uint8)
    alone = torch.cat([expert.preprocess(image) for image in images.split(1)])
    pixels = expert.to(device).preprocess(images.to(device))
    torch.testing.assert_close(pixels.cpu(), alone, atol=1e-5, rtol=1e-5)
