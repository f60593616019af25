"""The estimates of memory and operations, beside measured and known ones."""

import ctypes

import pytest
import torch
from torch import nn

from eaglebench.config.build import build_factory
from eaglebench.config.compose import compose_command
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.profiling.bench.measure import in_fresh_process, peak_megabytes, reset_peak
from eaglebench.profiling.estimate.meta_device import on_meta_device
from eaglebench.profiling.estimate.step_cost import (
    Sharding,
    StepCost,
    count_parameters,
    dummy_batch,
    estimate_step_cost,
    flop_counter,
    full_text_loss,
)
from eaglebench.training.parameter_groups import freeze
from tests.conftest import EXPERTS, FUSIONS

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def factory_without_weights(*overrides: str) -> ModelFactory:
    return build_factory(compose_command(overrides, check=False).config, without_weights=True)


def build_on_meta(*overrides: str) -> EagleModel:
    factory = factory_without_weights(*overrides)
    with on_meta_device():
        return factory.build_model(factory.experts)[0]


def learning_rates(model: EagleModel, frozen: tuple[str, ...] = ()) -> dict[str, float]:
    return {name: 0.0 if name in frozen else 1e-3 for name in model.parts()}


def step(model: EagleModel, batch_size: int, tokens: int) -> None:
    """The forward and the backward pass whose cost is estimated."""
    loss = full_text_loss(model, dummy_batch(model, batch_size, tokens))
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()


def measure(overrides: tuple[str, ...], batch_size: int, tokens: int) -> float:
    """Megabytes of a real step beyond weights and gradients, in a process of its own."""
    torch.set_num_threads(1)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**16)  # freed memory is returned at once, as the estimate assumes
    factory = factory_without_weights(*overrides)
    model, _ = factory.build_model(factory.experts)
    freeze(model.parts(), learning_rates(model))
    model.train()
    step(model, 1, tokens)  # libraries allocate buffers once
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    reset_peak("cpu")
    before = peak_megabytes("cpu")
    step(model, batch_size, tokens)
    return peak_megabytes("cpu") - before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "batch_size", "tokens"),
    [
        ((), 48, 256),
        (("experts=[clip]",), 48, 512),
        (("experts=[convnext,sam]", "experts.sam.activation_checkpointing=true"), 96, 128),
    ],
)
def test_memory_is_what_a_step_takes(overrides: tuple[str, ...], batch_size: int, tokens: int) -> None:
    model = build_on_meta(*overrides)
    planned = estimate_step_cost(model, learning_rates(model), batch_size, tokens, bfloat16=False)
    megabytes = in_fresh_process(measure, overrides, batch_size, tokens)
    assert planned.activations / 2**20 == pytest.approx(megabytes, rel=0.2)


def test_what_trains_is_what_has_gradients_and_moments() -> None:
    model = build_on_meta()
    numbers = {name: count_parameters(part)[0] for name, part in model.parts().items()}
    assert numbers == {"experts.clip": 116_608, "experts.sam": 195_904, "fusion": 331_392, "llm": 619_392}
    found = estimate_step_cost(model, learning_rates(model, frozen=("experts.clip", "llm")), 2, 64, bfloat16=False)
    trains = numbers["experts.sam"] + numbers["fusion"]
    assert (found.gradients, found.optimizer) == (4 * trains, 8 * trains)
    assert found.weights >= 4 * sum(numbers.values())


def test_frozen_experts_keep_no_activations_and_need_no_backward_pass() -> None:
    everything = estimate_step_cost(model := build_on_meta(), learning_rates(model), 16, 64, bfloat16=False)
    rates = learning_rates(model := build_on_meta(), frozen=("experts.clip", "experts.sam"))
    frozen = estimate_step_cost(model, rates, 16, 64, bfloat16=False)
    assert frozen.activations < 0.6 * everything.activations
    assert frozen.flops < 0.8 * everything.flops


def test_operations_are_those_of_the_real_step() -> None:
    model = build_on_meta("experts=[convnext,clip]")
    planned = estimate_step_cost(model, learning_rates(model), 2, 64, bfloat16=False)
    factory = factory_without_weights("experts=[convnext,clip]")
    real, _ = factory.build_model(factory.experts)
    with flop_counter() as counter:
        step(real, 2, 64)
    assert planned.flops == counter.get_total_flops()


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_a_convolution_backwards_is_twice_the_forward(groups: int) -> None:
    convolution = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    pixels = torch.randn(2, 8, 16, 16, requires_grad=True)
    with flop_counter() as counter:
        convolution(pixels).sum().backward()
    forward = 2 * 2 * 16 * 16 * 8 * (8 // groups) * 9
    assert counter.get_total_flops() == 3 * forward


def test_shards_are_shares_and_what_is_gathered() -> None:
    alone = StepCost(800, 400, 1600, activations=50, block=30, rest=100, rest_gradients=20, flops=7)
    assert alone.per_device(Sharding(), 8) == alone
    zero2 = alone.per_device(Sharding(gradients=True, optimizer=True), 8)
    assert (zero2.weights, zero2.gradients, zero2.optimizer, zero2.peak) == (800, 50, 200, 1100)
    zero3 = alone.per_device(Sharding(weights=True, gradients=True, optimizer=True), 8)
    assert (zero3.weights, zero3.peak) == (100 + 2 * 30, 460)
    fsdp = alone.per_device(Sharding(weights=True, gradients=True, optimizer=True, gathers_rest=True), 8)
    assert (fsdp.weights, fsdp.gradients, fsdp.optimizer) == (100 + 2 * 30 + 100, 50 + 20, 200)
    assert alone.per_device(Sharding(optimizer=True, optimizer_on_cpu=True), 8).optimizer == 0
    assert alone.per_device(Sharding(weights=True, weights_on_cpu=True), 8).weights == 2 * 30


def test_the_rest_is_what_no_block_has() -> None:
    model = build_on_meta("experts=[clip]", "fusion=channel_concat")
    found = estimate_step_cost(model, learning_rates(model, frozen=("fusion",)), 1, 64, bfloat16=False)
    blocks = sum(count_parameters(block)[0] for block in model.blocks())
    everything = sum(count_parameters(part)[0] for part in model.parts().values())
    assert found.rest == 4 * (everything - blocks)
    assert found.rest_gradients == found.rest - 4 * count_parameters(model.parts()["fusion"])[0]


@pytest.mark.slow
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_can_be_planned(fusion: str) -> None:
    model = build_on_meta("experts=[clip,convnext]", f"fusion={fusion}")
    assert estimate_step_cost(model, learning_rates(model), 1, 64, bfloat16=False).activations > 0


def test_full_size_models_have_the_published_numbers() -> None:
    """Of Vicuna-7B, and of the trunks that Eagle's code has (ConvNeXt-XXL, EVA-02-L, Pix2Struct-large), built in no
    memory.
    """
    overrides = [f"experts.{name}.checkpoint=none" for name in EXPERTS]
    model = build_on_meta("size=full", f"experts=[{','.join(EXPERTS)}]", *overrides, "data.train=x.json")
    numbers = {name: count_parameters(part)[0] for name, part in model.parts().items()}
    assert numbers["llm"] == 6_738_415_616
    assert all(parameter.is_meta for parameter in model.parameters())
    assert numbers["experts.convnext"] == 843_391_872
    assert numbers["experts.pix2struct"] == 512_812_032
    assert numbers["experts.eva02"] == pytest.approx(303_388_608, rel=1e-5)
