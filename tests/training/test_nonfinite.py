"""The first module that produces NaN or Inf is named; steps can be skipped instead."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import TensorDataset, default_collate

from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.nonfinite import first_nonfinite_part
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.trainer import StageTrainer
from eaglebench.utils.errors import UserError


class Two(nn.Module):
    """Two parts, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, batch: list[Tensor]) -> Tensor:
        return self.second(self.first(batch[0])).square().mean()

    def parts(self) -> dict[str, nn.Module]:
        return {"first": self.first, "second": self.second}


def test_the_part_whose_weights_are_broken_is_named() -> None:
    network = Two()
    network.second.weight.data[0, 0] = float("nan")
    assert first_nonfinite_part(network, network.parts(), [torch.ones(1, 2)]) == "the weights of second have NaN or Inf"


def test_the_first_part_that_gives_no_number_is_named() -> None:
    network = Two()
    network.first.weight.data.fill_(3e38)
    found = first_nonfinite_part(network, network.parts(), [torch.full((1, 2), 3e38)])
    assert found == "first is the first module that produces NaN or Inf"
    assert first_nonfinite_part(Two(), network.parts(), [torch.ones(1, 2)]) == "the output of every module is finite"


def trained(nonfinite: str, logged: list[str], folder: Path | None = None) -> Two:
    """Four steps, one of them on a sample that gives no number."""
    network = Two()
    samples = torch.ones(4, 2)
    samples[2] = float("inf")
    setup = TrainingSetup(
        network, network.parts(), {"first": 0.1, "second": 0.1}, TensorDataset(samples), default_collate, "stages.sft"
    )
    console = Console(quiet=True)
    console.print = lambda line, **_: logged.append(line) if "samples/s" not in line else None
    hyperparameters = Hyperparameters(1, 4, None, 0.0, 0.1, (0.9, 0.99), 1.0, nonfinite)
    StageTrainer({"accelerator": "cpu"}, [], 0, console).train(setup, hyperparameters, "sft", 0, folder)
    return network


def test_a_step_without_numbers_is_left_out_and_counted() -> None:
    logged: list[str] = []
    network = trained("skip", logged)
    assert logged == ["sft: 1 of 4 steps were skipped, because gradients were not finite"]
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_otherwise_it_stops() -> None:
    with pytest.raises(UserError, match=r"sft: the loss is (nan|inf) at step \d, and first is the first module that"):
        trained("stop", [])
