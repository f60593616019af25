"""What a step costs: memory of each device, and floating-point operations, of tensors that have shapes and no numbers."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from eaglebench.data.collate import Batch
from eaglebench.model.eagle import EagleModel
from eaglebench.profiling.estimate.peak_memory import PeakMemory
from eaglebench.training.parameter_groups import freeze

MOMENTS = 2  # of AdamW, for each number that trains


@dataclass(frozen=True)
class Sharding:
    """What a strategy keeps in shards, one on each device, and what in the memory of the CPU.

    Attributes:
        weights, gradients, optimizer: in shards.
        rest_is_whole: what is outside of all blocks is gathered for a whole step.
        optimizer_away, weights_away: in the CPU's memory.
    """

    weights: bool = False
    gradients: bool = False
    optimizer: bool = False
    rest_is_whole: bool = False
    optimizer_away: bool = False
    weights_away: bool = False


@dataclass(frozen=True)
class Outlay:
    """What training needs on one device, in bytes, and what a micro-batch takes.

    Attributes:
        weights: of all parts, with their tables.
        gradients, optimizer: of what trains.
        activations: what else there is when most is held, in the forward or the backward pass.
        block: weights of the largest block that a strategy shards by itself.
        rest: weights outside of all blocks: the embedding of tokens, the head, the fusion.
        rest_gradients: of those of them that train.
        flops: floating-point operations of a micro-batch, forward and backward; a multiplication and an addition are two.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    block: int
    rest: int
    rest_gradients: int
    flops: int

    @property
    def total(self) -> int:
        """The peak of the memory."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def spread(self, sharding: Sharding, devices: int) -> "Outlay":
        """What is left on each of so many devices.

        With sharded weights, two blocks are whole at a time: the one that computes, and the next one.
        """

        def share(held: int, sharded: bool) -> int:
            return -(-held // devices) if sharded else held

        gathered = gradients = 0
        if sharding.weights and devices > 1:
            gathered = 2 * self.block + (self.rest if sharding.rest_is_whole else 0)
            gradients = self.rest_gradients if sharding.rest_is_whole else 0
        return replace(
            self,
            weights=gathered + (0 if sharding.weights_away else share(self.weights, sharding.weights)),
            gradients=gradients + share(self.gradients, sharding.gradients),
            optimizer=0 if sharding.optimizer_away else share(self.optimizer, sharding.optimizer),
        )


def outlay(
    model: EagleModel, learning_rates: Mapping[str, float], batch_size: int, tokens: int, bfloat16: bool
) -> Outlay:
    """What a step of a model without weights costs, by running it on shapes alone.

    Args:
        learning_rates: by part; 0 freezes.
        batch_size: samples of a micro-batch, each with an image.
        tokens: of a sample, its visual tokens among them.
        bfloat16: whether matrices are multiplied in bfloat16.
    """
    freeze(model.parts(), learning_rates)
    for name, part in model.parts().items():
        part.train(learning_rates.get(name, 0.0) > 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        batch = samples(model, batch_size, tokens)
        for parameter in trained:  # a step begins with the gradients of the one before
            parameter.grad = torch.empty_like(parameter)
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        memory = PeakMemory([*model.parameters(), *model.buffers(), *gradients])
        del gradients
        counter = operations()
        with memory, counter:
            with torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext():
                loss = loss_of(model, batch)
            for parameter in trained:
                parameter.grad = None
            loss.backward()
    weights = sum(map(bytes_of, model.parameters())) + sum(map(bytes_of, model.buffers()))
    training = sum(map(bytes_of, trained))
    blocks = model.blocks()
    of_blocks = {id(parameter) for block in blocks for parameter in block.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in of_blocks]
    return Outlay(
        weights=weights,
        gradients=training,
        optimizer=MOMENTS * training,
        activations=memory.peak - weights - training,
        block=max((sum(map(bytes_of, block.parameters())) for block in blocks), default=0),
        rest=sum(map(bytes_of, rest)),
        rest_gradients=sum(bytes_of(parameter) for parameter in rest if parameter.requires_grad),
        flops=counter.get_total_flops(),
    )


def samples(model: EagleModel, batch_size: int, tokens: int) -> Batch:
    """A micro-batch of samples whose answers are as long as there is room."""
    ids = torch.zeros(batch_size, tokens, dtype=torch.long)
    side = model.image_side if model.tokens_of_an_image else 0
    pixels = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8) if side else None
    return Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), pixels, ())


def loss_of(model: EagleModel, batch: Batch) -> Tensor:
    """The loss where everything behind an image is a target: which places these are does not depend on numbers."""
    assert batch.labels is not None
    text = batch.labels.shape[1] - max(1, model.tokens_of_an_image)  # nothing says what the first token is to be
    return model.loss(model.hidden(batch)[:, -text - 1 : -1].flatten(0, 1), batch.labels[:, -text:].flatten())


def operations() -> FlopCounterMode:
    """A counter of floating-point operations."""
    mapping = {torch.ops.aten.convolution_backward: backward_of_convolution}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def bytes_of(tensor: torch.Tensor) -> int:
    """The memory of a tensor's numbers."""
    return tensor.numel() * tensor.element_size()


def parameters_of(part: nn.Module) -> tuple[int, int]:
    """How many parameters a part has, and how many of them train."""
    found = list(part.parameters())
    return sum(p.numel() for p in found), sum(p.numel() for p in found if p.requires_grad)


def backward_of_convolution(
    grad_shape: list[int], x_shape: list[int], w_shape: list[int], *rest: Any, out_shape: Any = None, **_: Any
) -> int:
    """Operations of a convolution's backward pass: the forward's once for each of the gradients of input and weights that is wanted.
    (torch's own count forgets groups: for depthwise convolutions it is too high by the number of channels.)"""
    _, _, _, _, transposed, _, _, wanted = rest
    return sum(wanted[:2]) * conv_flop_count(x_shape, w_shape, grad_shape, transposed=transposed)
