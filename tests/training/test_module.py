"""Parameter groups, the schedule, and what a step does."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.module import TrainingModule, cosine_with_warmup
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.errors import UserError


def test_the_schedule_rises_then_falls_to_zero() -> None:
    factors = [cosine_with_warmup(step, 100, 0.1) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0, abs=1e-9)


HYPERPARAMETERS = Hyperparameters(1, 4, None, 0.0, 0.0, (0.9, 0.99), 1.0, "stop")


def module_of(network: nn.Module, lr: float) -> TrainingModule:
    setup = TrainingSetup(network, {"a": network}, {"a": lr}, [], list, "stages.sft")
    return TrainingModule(setup, HYPERPARAMETERS, 4, "sft", 0)


def test_a_stage_that_trains_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="sft trains nothing"):
        module_of(nn.Linear(1, 1), 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_step_and_samples(value: float) -> None:
    class Broken(nn.Linear):
        def forward(self, batch):
            return self.weight.sum() * 0 + value

    class Batch(list):
        ids = ("sample-7",)

    module = module_of(Broken(1, 1), 0.1)
    with pytest.raises(
        UserError,
        match=r"sft: the loss is (nan|inf) at step 1, and a is the first module that produces NaN or Inf;.*sample-7",
    ):
        module.training_step((Batch([torch.zeros(1)]), 1.0), 0)
