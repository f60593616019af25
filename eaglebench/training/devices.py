"""Which devices a training runs on, and its precision, in Lightning's names. Imports neither torch nor Lightning."""

from dataclasses import dataclass
from typing import Final

CPU = "cpu"
FP32: Final = "32-true"
BF16: Final = "bf16-mixed"


@dataclass(frozen=True)
class Devices:
    """The devices that a model is spread over.

    Attributes:
        accelerator: Lightning's name of their kind: `cpu`, `gpu` ...
        precision: Lightning's name of the precision: `32-true`, `bf16-mixed` ...
        count: how many there are, on all nodes.
    """

    accelerator: str
    precision: str
    count: int

    @property
    def backend(self) -> str:
        """The torch.distributed backend over which they communicate."""
        return "gloo" if self.accelerator == CPU else "nccl"
