"""The cost of a training step, from tensors that have only shapes: memory of each device, and operations."""

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

ADAMW_MOMENTS = 2  # for each number that trains


@dataclass(frozen=True)
class Sharding:
    """What a strategy keeps in shards, one on each device, and what in the memory of the CPU.

    Attributes:
        weights, gradients, optimizer: kept in shards.
        gathers_rest: weights outside of all blocks are gathered for a whole step.
        optimizer_on_cpu, weights_on_cpu: kept in the memory of the CPU.
    """

    weights: bool = False
    gradients: bool = False
    optimizer: bool = False
    gathers_rest: bool = False
    optimizer_on_cpu: bool = False
    weights_on_cpu: bool = False


@dataclass(frozen=True)
class StepCost:
    """What one micro-batch of training costs. Memory is in bytes on one device.

    Attributes:
        weights: of all parts, with their buffers.
        gradients, optimizer: of the weights that train.
        activations: everything else at the peak, in the forward or the backward pass.
        block: weights of the largest block that a strategy shards by itself.
        rest: weights outside of all blocks: the token embedding, the head, the fusion.
        rest_gradients: of those of them that train.
        flops: floating-point operations, forward and backward; a multiply-accumulate is two.
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
    def peak(self) -> int:
        """The peak memory, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def per_device(self, sharding: Sharding, devices: int) -> "StepCost":
        """The cost on each of so many devices.

        With sharded weights, two blocks are gathered at a time: the one that computes, and the next one.
        """

        def share(held: int, sharded: bool) -> int:
            return -(-held // devices) if sharded else held

        gathered = gradients = 0
        if sharding.weights and devices > 1:
            gathered = 2 * self.block + (self.rest if sharding.gathers_rest else 0)
            gradients = self.rest_gradients if sharding.gathers_rest else 0
        return replace(
            self,
            weights=gathered + (0 if sharding.weights_on_cpu else share(self.weights, sharding.weights)),
            gradients=gradients + share(self.gradients, sharding.gradients),
            optimizer=0 if sharding.optimizer_on_cpu else share(self.optimizer, sharding.optimizer),
        )


def estimate_step_cost(
    model: EagleModel, learning_rates: Mapping[str, float], batch_size: int, tokens: int, bfloat16: bool
) -> StepCost:
    """The cost of training a model on one micro-batch, from running it with fake tensors.

    Args:
        model: without weights; it is changed.
        learning_rates: by part; 0 freezes it.
        batch_size: samples of the micro-batch, each with an image.
        tokens: of a sample, its visual tokens among them.
        bfloat16: whether matrices are multiplied in bfloat16 (autocast).
    """
    freeze(model.parts(), learning_rates)
    for name, part in model.parts().items():
        part.train(learning_rates.get(name, 0.0) > 0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        batch = dummy_batch(model, batch_size, tokens)
        for parameter in trained:  # a step begins with the gradients of the one before
            parameter.grad = torch.empty_like(parameter)
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        memory = PeakMemory([*model.parameters(), *model.buffers(), *gradients])
        del gradients
        counter = flop_counter()
        with memory, counter:
            with torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext():
                loss = full_text_loss(model, batch)
            for parameter in trained:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
    weights = sum(map(tensor_bytes, model.parameters())) + sum(map(tensor_bytes, model.buffers()))
    training = sum(map(tensor_bytes, trained))
    blocks = model.blocks()
    in_blocks = {id(parameter) for block in blocks for parameter in block.parameters()}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in in_blocks]
    return StepCost(
        weights=weights,
        gradients=training,
        optimizer=ADAMW_MOMENTS * training,
        activations=memory.peak - weights - training,
        block=max((sum(map(tensor_bytes, block.parameters())) for block in blocks), default=0),
        rest=sum(map(tensor_bytes, rest)),
        rest_gradients=sum(tensor_bytes(parameter) for parameter in rest if parameter.requires_grad),
        flops=counter.get_total_flops(),
    )


def dummy_batch(model: EagleModel, batch_size: int, tokens: int) -> Batch:
    """A micro-batch of zeros in which everything behind the image is an answer.

    Shapes: ids, mask and labels [batch_size, tokens]; pixels [batch_size, 3, S, S], none if the model takes no images.
    """
    ids = torch.zeros(batch_size, tokens, dtype=torch.long)
    side = model.image_side if model.tokens_per_image else 0
    pixels = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8) if side else None
    return Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), pixels, ())


def full_text_loss(model: EagleModel, batch: Batch) -> Tensor:
    """The loss of a `dummy_batch`.

    The places of its targets follow from shapes: fake tensors have no values in which to look for labels.
    """
    assert batch.labels is not None
    text = batch.labels.shape[1] - max(1, model.tokens_per_image)  # nothing predicts the first token
    states = model.hidden_states(batch)[:, -text - 1 : -1]
    return model.loss(states.flatten(0, 1), batch.labels[:, -text:].flatten())


def flop_counter() -> FlopCounterMode:
    """A counter of floating-point operations that prints nothing, with convolutions counted right."""
    mapping = {torch.ops.aten.convolution_backward: count_convolution_backward}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def tensor_bytes(tensor: torch.Tensor) -> int:
    """The memory of a tensor's numbers, in bytes."""
    return tensor.numel() * tensor.element_size()


def count_parameters(part: nn.Module) -> tuple[int, int]:
    """How many parameters a part has, and how many of them train."""
    found = list(part.parameters())
    return sum(p.numel() for p in found), sum(p.numel() for p in found if p.requires_grad)


def count_convolution_backward(
    grad_shape: list[int], x_shape: list[int], w_shape: list[int], *rest: Any, out_shape: Any = None, **_: Any
) -> int:
    """Operations of a convolution's backward pass.

    These are the forward pass's, once for each gradient that is wanted: that of the input, that of the weights.

    torch's own count ignores groups: it is too high by the number of channels for depthwise convolutions.
    """
    _, _, _, _, transposed, _, _, output_mask = rest
    forward: int = conv_flop_count(x_shape, w_shape, grad_shape, transposed=transposed)
    return forward * int(sum(output_mask[:2]))
