"""One forward and backward pass on any device and in any precision, and how far two of them may differ."""

from collections.abc import Mapping
from copy import deepcopy
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Of the norm of a median gradient: below it, a gradient is compared as if it had this norm. The gradients of key biases
# are zero, because the softmax takes out what is added to all keys alike; what is computed for them is rounding.
SMALLEST = 0.02


class Precision(NamedTuple):
    """What a pass computes in, and how far it may be from the same pass in float64, in fractions of a norm.

    Attributes:
        name: of the precision.
        autocast: matrix products in bfloat16, weights and maps in float32: Lightning's bf16-mixed.
        output: for the output.
        typical: for the median gradient.
        worst: for every gradient.
    """

    name: str
    autocast: bool
    output: float
    typical: float
    worst: float

    def __str__(self) -> str:
        return self.name


# On a CPU, outputs are off by up to 2e-6, a gradient typically by up to 5e-6 and by 7e-6 at most. Other kernels add in
# another order, but TF32, which has ten bits, would be off by 3e-4.
FLOAT32 = Precision("float32", False, 5e-5, 5e-5, 1e-4)
# A bfloat16 has eight bits: a rounding is off by up to 0.4 %, and there are dozens in a row. On a CPU, outputs are off
# by up to 2 % and a gradient typically by up to 5 %. Where most of a gradient cancels, it is off by up to 22 %: in the
# gate of MoVA's first block, and in the offsets of deformable attention.
# The three blocks of the tiny Pix2Struct are off by 3 %, and its gradients typically by 10 %.
BFLOAT16 = Precision("bfloat16", True, 0.04, 0.12, 0.4)
PRECISIONS = (FLOAT32, BFLOAT16)


class Pass(NamedTuple):
    """The output of a pass, and the gradient of each parameter that it reached, in float64 on the CPU."""

    output: Tensor
    gradients: Mapping[str, Tensor]


class Probe(nn.Module):
    """A network with its inputs, which are parameters, so that they move with it and get gradients.

    Its network has random parameters, none of them left at a zero or a one that would hide an error. Matrices keep the
    size of what passes through them.

    Args:
        network: called with the inputs.
        inputs: tensors by name.
    """

    def __init__(self, network: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = network.eval()
        self.inputs = nn.ParameterDict({name: nn.Parameter(value) for name, value in inputs.items()})
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim > 1:
                    parameter.copy_(noise * parameter[0].numel() ** -0.5)
                else:
                    parameter.add_(0.1 * noise)

    def forward(self) -> Tensor:
        output: Tensor = self.network(dict(self.inputs))
        return output


def run_pass(probe: Probe, device: str, dtype: torch.dtype = torch.float32, autocast: bool = False) -> Pass:
    """The pass of a copy of the probe; its loss weighs the numbers of the output at random."""
    copy = deepcopy(probe).to(device, dtype)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        output = copy()
    weights = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (output.double() * weights.to(device)).sum().backward()
    reached = {name: parameter.grad for name, parameter in copy.named_parameters() if parameter.grad is not None}
    return Pass(output.detach().double().cpu(), {name: value.double().cpu() for name, value in reached.items()})


def assert_near(given: Pass, exact: Pass, precision: Precision) -> None:
    """The output and each gradient of a pass are as near to the exact ones as its precision allows."""
    assert given.output.shape == exact.output.shape
    assert distance(given.output, exact.output) < precision.output
    assert given.gradients.keys() == exact.gradients.keys()
    floor = SMALLEST * median(float(value.norm()) for value in exact.gradients.values())
    distances = {name: distance(given.gradients[name], value, floor) for name, value in exact.gradients.items()}
    assert {name: far for name, far in distances.items() if not far < precision.worst} == {}
    assert median(distances.values()) < precision.typical


def distance(given: Tensor, exact: Tensor, floor: float = 0.0) -> float:
    """How far a tensor is from the exact one, as a fraction of its norm, which counts as `floor` at least."""
    return float((given - exact).norm()) / max(float(exact.norm()), floor)
