"""The log of a run has whole curves, each value once, however often its training was interrupted."""

import csv
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from eaglebench.training.checkpointing import CheckpointCallback
from tests.helpers.interrupted import STEPS, Crash, Noisy, crash, run

VALIDATED = [2, 4, 6, 8, 10]


def rows(folder: Path) -> list[dict[str, str]]:
    """The values of a metrics.csv by step, without empty cells."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def train(network: Noisy, folder: Path, every: int = 2) -> list[float]:
    """Train with Lightning's logger of CSV files; a validation is the sum of a weight."""

    def sum_weight(device: torch.device) -> dict[str, float]:
        if network.at_validation:
            network.at_validation.pop(0)()
        return {"sum": float(network.trained[1].weight.sum())}

    logger = CSVLogger(folder, name=None, version="")
    checkpoints = folder / "checkpoints"
    return run(network, checkpoints, every=every, loggers=[logger], validate=sum_weight, validate_every=every)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("unbroken")
    train(Noisy(), folder)
    return rows(folder)


def test_every_kind_of_curve_is_there(unbroken: list[dict[str, str]]) -> None:
    names = [sorted(row.keys() - {"step"}) for row in unbroken]
    assert names.count(["unit/sum"]) == len(VALIDATED)
    assert [int(row["step"]) + 1 for row in unbroken if "unit/sum" in row] == VALIDATED
    of_steps = [int(row["step"]) for row in unbroken if {"unit/loss", "unit/gradient norm of trained"} <= row.keys()]
    assert of_steps == [9]  # every tenth step


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("passes", [[2], [3], [5], [STEPS], [4, 3, 2]])
def test_a_training_that_is_interrupted_logs_what_an_unbroken_one_logs(
    passes: list[int], interval: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eaglebench.training.module.log_interval", lambda _: interval)
    train(Noisy(), tmp_path / "unbroken")
    for at_pass in passes:
        broken = Noisy()
        broken.at_pass[at_pass] = crash
        with pytest.raises(Crash):
            train(broken, tmp_path / "broken")
    train(Noisy(), tmp_path / "broken")
    assert rows(tmp_path / "broken") == rows(tmp_path / "unbroken")


@pytest.mark.parametrize("moment", ["in the validation", "before the log"])
@pytest.mark.parametrize("step", [2, 6, 10])
def test_a_crash_after_a_checkpoint_and_before_its_log_loses_nothing(
    step: int, moment: str, tmp_path: Path, unbroken: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Noisy()
    with monkeypatch.context() as patch:
        if moment == "in the validation":
            broken.at_validation = [lambda: None] * (step // 2 - 1) + [crash]
        else:
            write = CheckpointCallback.write

            def write_and_die(self: CheckpointCallback, trainer, folder: Path) -> None:
                write(self, trainer, folder)
                if trainer.global_step == step:
                    crash()

            patch.setattr(CheckpointCallback, "write", write_and_die)
        with pytest.raises(Crash):
            train(broken, tmp_path)
    train(Noisy(), tmp_path)
    assert sorted(rows(tmp_path), key=str) == sorted(unbroken, key=str)


def test_a_crash_in_the_validation_of_the_last_step_is_made_up_for(tmp_path: Path) -> None:
    """No step is left to train then."""
    train(Noisy(), tmp_path / "unbroken", every=STEPS)
    broken, again = Noisy(), Noisy()
    broken.at_validation = [crash]
    with pytest.raises(Crash):
        train(broken, tmp_path / "broken", every=STEPS)
    train(again, tmp_path / "broken", every=STEPS)
    assert again.passes == 0
    assert rows(tmp_path / "broken") == rows(tmp_path / "unbroken")
