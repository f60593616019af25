"""A small training that can be interrupted at each of its steps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import TensorDataset, default_collate

from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.trainer import StageTrainer
from eaglebench.training.validation import ValidationFunction

STEPS = 11


class Crash(Exception):
    """What a kill looks like from inside."""


class Noisy(nn.Module):
    """A network with dropout, one frozen part, and something to do at a step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(6, 6)
        self.trained = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 6), nn.BatchNorm1d(6))
        self.passes = 0
        self.at_pass: dict[int, Callable[[], None]] = {}
        self.at_validation: list[Callable[[], None]] = []

    def forward(self, batch: list[Tensor]) -> Tensor:
        self.passes += 1
        self.at_pass.get(self.passes, lambda: None)()
        return (self.trained(self.frozen(batch[0])) - batch[1]).square().mean()


def run(
    network: nn.Module,
    folder: Path | None,
    logged: list[str] | None = None,
    every: int = 3,
    micro_batch: int | None = None,
    loggers: Sequence[Logger] = (),
    validate: ValidationFunction | None = None,
    validate_every: int = 2,
    **arguments: Any,
) -> list[float]:
    """Train the network for STEPS steps; gives the losses."""
    data = torch.Generator().manual_seed(1)
    setup = TrainingSetup(
        network=network,
        parts={"frozen": network.frozen, "trained": network.trained},
        learning_rates={"frozen": 0.0, "trained": 0.1},
        dataset=TensorDataset(torch.randn(10, 6, generator=data), torch.randn(10, 6, generator=data)),
        collate=default_collate,
        config_path="stages.unit",
    )
    hyperparameters = Hyperparameters(4, STEPS, None, 0.1, 0.01, (0.9, 0.99), 1.0, "stop", micro_batch)
    console = Console(quiet=True)
    if logged is not None:
        console.print = lambda line, **_: logged.append(line) if "samples/s" not in line else None
    settings = {"accelerator": "cpu", "deterministic": True, **arguments}
    trainer = StageTrainer(settings, loggers, 5, console, every, validate_every)
    result = trainer.train(setup, hyperparameters, "unit", 0, folder, validate, output_parts=["trained"])
    network.kept = result.weights
    return result.losses


def crash() -> None:
    raise Crash
