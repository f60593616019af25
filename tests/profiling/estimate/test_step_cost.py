"""What a plan says of memory and of operations, beside what is measured and what is known."""

import ctypes

import pytest
import torch
from torch import nn

from eaglebench.config.build import build_workshop
from eaglebench.model.eagle import EagleModel
from eaglebench.profiling.bench.measure import apart, forget_peak, memory
from eaglebench.profiling.estimate.meta_device import sketching
from eaglebench.profiling.estimate.step_cost import (
    Outlay,
    Sharding,
    loss_of,
    operations,
    outlay,
    parameters_of,
    samples,
)
from eaglebench.training.parameter_groups import freeze
from tests.conftest import EXPERTS, FUSIONS, composed

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def sketched(*words: str) -> EagleModel:
    workshop = build_workshop(composed(*words), outlines=True)
    with sketching():
        return workshop.eagle(workshop.experts)[0]


def rates_of(model: EagleModel, frozen: tuple[str, ...] = ()) -> dict[str, float]:
    return {name: 0.0 if name in frozen else 1e-3 for name in model.parts()}


def step(model: EagleModel, batch_size: int, tokens: int) -> None:
    """The forward and the backward pass that a plan is of."""
    loss = loss_of(model, samples(model, batch_size, tokens))
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()


def measured(words: tuple[str, ...], batch_size: int, tokens: int) -> float:
    """Megabytes of a real step beyond weights and gradients, in a process of its own."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**16)  # what is freed is given back at once, as the plan takes it
    workshop = build_workshop(composed(*words), outlines=True)
    model, _ = workshop.eagle(workshop.experts)
    freeze(model.parts(), rates_of(model))
    model.train()
    step(model, 1, tokens)  # what libraries set up once
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    forget_peak("cpu")
    before = memory("cpu")
    step(model, batch_size, tokens)
    return memory("cpu") - before


@pytest.mark.parametrize(
    ("words", "batch_size", "tokens"),
    [
        ((), 48, 256),
        pytest.param(("experts=[clip]",), 48, 512, marks=pytest.mark.slow),
        pytest.param(
            ("experts=[convnext,sam]", "experts.sam.activation_checkpointing=true"), 96, 128, marks=pytest.mark.slow
        ),
    ],
)
def test_memory_is_what_a_step_takes(words: tuple[str, ...], batch_size: int, tokens: int) -> None:
    model = sketched(*words)
    planned = outlay(model, rates_of(model), batch_size, tokens, bfloat16=False)
    assert planned.activations / 2**20 == pytest.approx(apart(measured, words, batch_size, tokens), rel=0.2)


def test_what_trains_is_what_has_gradients_and_moments() -> None:
    model = sketched()
    numbers = {name: parameters_of(part)[0] for name, part in model.parts().items()}
    assert numbers == {"experts.clip": 116_608, "experts.sam": 195_904, "fusion": 329_344, "llm": 600_704}
    found = outlay(model, rates_of(model, frozen=("experts.clip", "llm")), 2, 64, bfloat16=False)
    trains = numbers["experts.sam"] + numbers["fusion"]
    assert (found.gradients, found.optimizer) == (4 * trains, 8 * trains)
    assert found.weights >= 4 * sum(numbers.values())


def test_frozen_experts_keep_no_activations_and_need_no_backward_pass() -> None:
    everything = outlay(model := sketched(), rates_of(model), 16, 64, bfloat16=False)
    rates = rates_of(model := sketched(), frozen=("experts.clip", "experts.sam"))
    frozen = outlay(model, rates, 16, 64, bfloat16=False)
    assert frozen.activations < 0.6 * everything.activations
    assert frozen.flops < 0.8 * everything.flops


def test_operations_are_those_of_the_real_step() -> None:
    model = sketched("experts=[convnext,clip]")
    planned = outlay(model, rates_of(model), 2, 64, bfloat16=False)
    real, _ = (workshop := build_workshop(composed("experts=[convnext,clip]"), outlines=True)).eagle(workshop.experts)
    with operations() as counter:
        step(real, 2, 64)
    assert planned.flops == counter.get_total_flops()


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_a_convolution_backwards_is_twice_the_forward(groups: int) -> None:
    convolution = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    pixels = torch.randn(2, 8, 16, 16, requires_grad=True)
    with operations() as counter:
        convolution(pixels).sum().backward()
    forward = 2 * 2 * 16 * 16 * 8 * (8 // groups) * 9
    assert counter.get_total_flops() == 3 * forward


def test_shards_are_shares_and_what_is_gathered() -> None:
    alone = Outlay(800, 400, 1600, activations=50, block=30, rest=100, rest_gradients=20, flops=7)
    assert alone.spread(Sharding(), 8) == alone
    zero2 = alone.spread(Sharding(gradients=True, optimizer=True), 8)
    assert (zero2.weights, zero2.gradients, zero2.optimizer, zero2.total) == (800, 50, 200, 1100)
    zero3 = alone.spread(Sharding(weights=True, gradients=True, optimizer=True), 8)
    assert (zero3.weights, zero3.total) == (100 + 2 * 30, 460)
    fsdp = alone.spread(Sharding(weights=True, gradients=True, optimizer=True, rest_is_whole=True), 8)
    assert (fsdp.weights, fsdp.gradients, fsdp.optimizer) == (100 + 2 * 30 + 100, 50 + 20, 200)
    assert alone.spread(Sharding(optimizer=True, optimizer_away=True), 8).optimizer == 0
    assert alone.spread(Sharding(weights=True, weights_away=True), 8).weights == 2 * 30


def test_the_rest_is_what_no_block_has() -> None:
    model = sketched("experts=[clip]", "fusion=channel_concat")
    found = outlay(model, rates_of(model, frozen=("fusion",)), 1, 64, bfloat16=False)
    blocks = sum(parameters_of(block)[0] for block in model.blocks())
    everything = sum(parameters_of(part)[0] for part in model.parts().values())
    assert found.rest == 4 * (everything - blocks)
    assert found.rest_gradients == found.rest - 4 * parameters_of(model.parts()["fusion"])[0]


@pytest.mark.parametrize(
    "fusion", [pytest.param(name, marks=[] if name == "mova" else pytest.mark.slow) for name in FUSIONS]
)
def test_every_fusion_can_be_planned(fusion: str) -> None:
    model = sketched("experts=[clip,convnext]", f"fusion={fusion}")
    assert outlay(model, rates_of(model), 1, 64, bfloat16=False).activations > 0


def test_full_size_models_have_the_published_numbers() -> None:
    """Of Vicuna-7B, and of the trunks that Eagle's code has (ConvNeXt-XXL, EVA-02-L, Pix2Struct-large), built in no memory."""
    words = [f"experts.{name}.checkpoint=none" for name in EXPERTS]
    model = sketched("size=full", f"experts=[{','.join(EXPERTS)}]", *words, "data.train=x.json")
    numbers = {name: parameters_of(part)[0] for name, part in model.parts().items()}
    assert numbers["llm"] == 6_738_415_616
    assert all(parameter.is_meta for parameter in model.parameters())
    assert numbers["experts.convnext"] == 843_391_872
    assert numbers["experts.pix2struct"] == 512_812_032
    assert numbers["experts.eva02"] == pytest.approx(303_388_608, rel=1e-5)
