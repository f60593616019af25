"""The cost of a set of experts: the vision side of a model, from images to visual tokens."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.profiling.estimate.meta_device import on_meta_device
from eaglebench.profiling.estimate.step_cost import count_parameters, flop_counter

BATCH = 4  # images, as in the paper's figure 4
MIN_SECONDS = 0.5  # of a measurement


@dataclass(frozen=True)
class VisionCost:
    """The cost of experts and their fusion.

    Attributes:
        parameters: their number.
        macs: multiply-accumulates of an image, all operations counted.
        images_per_second: their throughput; None on a machine without the device.
    """

    parameters: int
    macs: float
    images_per_second: float | None


def measure_vision_cost(factory: ModelFactory, experts: Sequence[str], device: str) -> VisionCost:
    """The cost of these experts, joined by the factory's fusion.

    Args:
        factory: may be one without checkpoints; the values of weights play no part.
        device: by its name in torch.
    """
    with on_meta_device():
        model, _ = factory.build_model(experts)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), flop_counter() as counter:
        model.to_empty(device="cpu").eval().encode_images(black_images(model, 1))
    parameters = sum(count_parameters(part)[0] for name, part in model.parts().items() if name != "llm")
    available = device != "cuda" or torch.cuda.is_available()
    speed = round(measure_images_per_second(factory, experts, device), 2) if available else None
    return VisionCost(parameters, counter.get_total_flops() / 2, speed)


def black_images(model: EagleModel, count: int) -> torch.Tensor:
    """Images [count, 3, S, S] of the model's input side S, all zeros."""
    return torch.zeros(count, 3, model.image_side, model.image_side, dtype=torch.uint8)


@torch.no_grad()
def measure_images_per_second(factory: ModelFactory, experts: Sequence[str], device: str) -> float:
    """Images a second in batches of BATCH, after a pass that warms up."""
    with on_meta_device():
        language = factory.build_language_model()  # it plays no part
    model, _ = factory.build_model(experts, language=language)
    for name, part in model.parts().items():
        if name != "llm":
            part.to(device).eval()
    batch = black_images(model, BATCH).to(device)
    float(model.encode_images(batch).sum())
    passes, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < MIN_SECONDS:
        float(model.encode_images(batch).sum())  # waits for the device
        passes += 1
    del model
    torch.cuda.empty_cache()  # the memory is for trials
    return passes * BATCH / seconds
