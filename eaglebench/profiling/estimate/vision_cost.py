"""What a set of experts costs: the vision side of a model, from images to visual tokens."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import Workshop
from eaglebench.profiling.estimate.meta_device import sketching
from eaglebench.profiling.estimate.step_cost import operations, parameters_of

IMAGES = 4  # in a batch, as in the paper's figure 4
LEAST_SECONDS = 0.5  # of a measurement


@dataclass(frozen=True)
class Cost:
    """Of the experts and the fusion.

    Attributes:
        parameters: their number.
        macs: multiplications with additions for an image, all operations counted.
        images_per_second: through them; None where the device that it is wanted of is not there.
    """

    parameters: int
    macs: float
    images_per_second: float | None


def cost_of(workshop: Workshop, experts: Sequence[str], device: str) -> Cost:
    """What these experts cost, joined by the workshop's fusion. Weights play no part: a workshop without checkpoints will do."""
    with sketching():
        sketch, _ = workshop.eagle(experts)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), operations() as counter:
        sketch.to_empty(device="cpu").eval().visual_tokens(images(sketch, 1))
    parts = [part for name, part in sketch.parts().items() if name != "llm"]
    parameters = sum(parameters_of(part)[0] for part in parts)
    there = device != "cuda" or torch.cuda.is_available()
    return Cost(
        parameters, counter.get_total_flops() / 2, round(speed(workshop, experts, device), 2) if there else None
    )


def images(model: EagleModel, count: int) -> torch.Tensor:
    """Black images [count, 3, S, S]."""
    return torch.zeros(count, 3, model.image_side, model.image_side, dtype=torch.uint8)


@torch.no_grad()
def speed(workshop: Workshop, experts: Sequence[str], device: str) -> float:
    """Images a second, after a first pass."""
    with sketching():
        language = workshop.language()  # it plays no part
    model, _ = workshop.eagle(experts, language=language)
    for name, part in model.parts().items():
        if name != "llm":
            part.to(device).eval()
    batch = images(model, IMAGES).to(device)
    float(model.visual_tokens(batch).sum())
    passes, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < LEAST_SECONDS:
        float(model.visual_tokens(batch).sum())  # the number is there when the device is done
        passes += 1
    del model
    torch.cuda.empty_cache()  # trials may want it
    return passes * IMAGES / seconds
