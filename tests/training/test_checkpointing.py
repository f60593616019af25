"""A training that ends early resumes from its last complete checkpoint, and ends as if it had never stopped."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from eaglebench.training.checkpoint_files import STATE, list_checkpoints, step_of
from eaglebench.training.checkpointing import CheckpointCallback
from eaglebench.utils.errors import TERMINATED, UserError
from tests.helpers.interrupted import STEPS, Crash, Noisy, crash, run


@pytest.fixture(scope="module")
def unbroken() -> tuple[dict[str, Tensor], list[float]]:
    network = Noisy()
    losses = run(network, None)
    assert len(losses) == STEPS
    return network.state_dict(), losses


def check(network: Noisy, losses: list[float], unbroken: tuple[dict[str, Tensor], list[float]]) -> None:
    weights, expected = unbroken
    assert losses == expected
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def written(folder: Path) -> list[str]:
    """The names of the complete checkpoints, that of the last step first."""
    return [path.name for path in list_checkpoints(folder)]


@pytest.mark.parametrize("passes", range(1, STEPS + 1))
def test_it_ends_with_the_weights_of_an_unbroken_one(passes: int, tmp_path: Path, unbroken: Any) -> None:
    """Dropout, the order of samples over epochs, batch statistics, AdamW's moments and the schedule resume as well."""
    broken = Noisy()
    broken.at_pass[passes] = crash
    with pytest.raises(Crash):
        run(broken, tmp_path)
    last = (passes - 1) // 3 * 3
    assert written(tmp_path) == [f"step-{step}.ckpt" for step in (last, last - 3) if step > 0]
    network, logged = Noisy(), []
    check(network, run(network, tmp_path, logged), unbroken)
    assert network.passes == STEPS - last
    assert logged == ([f"unit: resumes from step {last} of {STEPS}"] if last else [])


def test_a_checkpoint_of_the_last_step_is_all_it_takes(tmp_path: Path, unbroken: Any) -> None:
    run(Noisy(), tmp_path, every=STEPS)
    network = Noisy()
    check(network, run(network, tmp_path), unbroken)
    assert network.passes == 0
    assert all(
        torch.equal(value, network.kept[f"trained.{name}"]) for name, value in network.trained.state_dict().items()
    )


def test_it_can_be_broken_again_and_again(tmp_path: Path, unbroken: Any) -> None:
    for passes in (5, 4, 2):
        network = Noisy()
        network.at_pass[passes] = crash
        with pytest.raises(Crash):
            run(network, tmp_path)
    network = Noisy()
    check(network, run(network, tmp_path), unbroken)


def test_a_checkpoint_that_is_half_written_is_none(
    tmp_path: Path, unbroken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []

    def dies(self: pl.Trainer, path: Path) -> None:
        if saved:
            path.write_bytes(b"PK half")
            raise Crash
        saved.append(path)
        save(self, path)

    save = pl.Trainer.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", dies)
        with pytest.raises(Crash):
            run(Noisy(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".step-6.ckpt", "step-3.ckpt"]
    network = Noisy()
    check(network, run(network, tmp_path), unbroken)
    assert network.passes == STEPS - 3
    assert {path.name for path in tmp_path.iterdir()} == {"step-6.ckpt", "step-9.ckpt"}


@pytest.mark.parametrize(
    ("error", "on_disk", "way_out"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None, "make room, and the same command"),
        (RuntimeError("PytorchStreamWriter failed writing file"), errno.EDQUOT, "make room, and the same command"),
        (RuntimeError("PytorchStreamWriter failed writing file"), None, "the same command"),
        (OSError(errno.EROFS, "Read-only file system"), errno.EROFS, "the same command"),
    ],
)
def test_a_disk_that_fails_stops_it_with_a_sentence_and_keeps_the_checkpoint_before(
    error: Exception,
    on_disk: int | None,
    way_out: str,
    tmp_path: Path,
    unbroken: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room is asked for only where there is none; torch does not say, so that the disk is asked."""

    def fail(self: pl.Trainer, path: Path) -> None:
        if path.parent.name == ".step-6.ckpt":
            path.write_bytes(b"some of it")
            if on_disk is not None:
                monkeypatch.setattr("eaglebench.training.checkpointing.write_bytes", refuse)
            raise error
        save(self, path)

    def refuse(*_: object) -> None:
        raise OSError(on_disk, "refused")

    save = pl.Trainer.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", fail)
        with pytest.raises(UserError, match=rf"step 6 cannot be written.*\): {way_out} resumes from step 3"):
            run(Noisy(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-3.ckpt"]
    network = Noisy()
    check(network, run(network, tmp_path), unbroken)


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_corrupt_checkpoint_is_logged_and_the_one_before_used(damaged: int, tmp_path: Path, unbroken: Any) -> None:
    broken = Noisy()
    broken.at_pass[8] = crash
    with pytest.raises(Crash):
        run(broken, tmp_path)
    files = [path / STATE for path in list_checkpoints(tmp_path)[:damaged]]
    for file in files:
        content = bytearray(file.read_bytes())
        content[-30] ^= 1  # in the directory of the archive
        file.write_bytes(content)
    network, logged = Noisy(), []
    check(network, run(network, tmp_path, logged), unbroken)
    instead = "the one of step 3 is" if damaged == 1 else "this stage starts anew"
    lines = [f"{file.parent} is corrupt (wrong checksum), and not used: {instead}" for file in files]
    assert logged == lines + ([f"unit: resumes from step 3 of {STEPS}"] if damaged == 1 else [])
    assert network.passes == (STEPS - 3 if damaged == 1 else STEPS)


@pytest.mark.parametrize("folder", [True, False])
def test_on_sigterm_it_writes_a_checkpoint_of_the_step_that_it_finishes(
    folder: bool, tmp_path: Path, unbroken: Any
) -> None:
    place = tmp_path if folder else None
    asked, logged = Noisy(), []
    asked.at_pass[5] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as exit:
        run(asked, place, logged)
    assert exit.value.code == TERMINATED
    there = "step 5" if folder else "the start of this stage"
    assert logged == [f"unit: received SIGTERM; the same command resumes from {there}"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    network = Noisy()
    check(network, run(network, place), unbroken)
    assert network.passes == (STEPS - 5 if folder else STEPS)


def test_a_checkpoint_holds_what_is_trained_and_nothing_that_runs_code(tmp_path: Path) -> None:
    run(Noisy(), tmp_path)
    last = list_checkpoints(tmp_path)[0]
    assert step_of(last) == 9
    weights = torch.load(last / STATE, weights_only=True)["state_dict"]
    assert {name.split(".")[1] for name in weights} == {"trained"}
    assert CheckpointCallback(None, 1, None, print).find_newest_intact() is None


class Quiet(Noisy):
    """Without what the size of micro-batches changes: dropout and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Sequential(nn.Linear(6, 6), nn.Tanh()).double()
        self.frozen = self.frozen.double()

    def forward(self, batch: list[Tensor]) -> Tensor:
        return super().forward([each.double() for each in batch])


@pytest.mark.parametrize("before", [None, 1, 2])
@pytest.mark.parametrize("after", [None, 1, 2])
def test_it_resumes_with_micro_batches_of_another_size(before: int | None, after: int | None, tmp_path: Path) -> None:
    """As a user does who ran out of memory."""
    whole = Quiet()
    losses = run(whole, None)
    broken = Quiet()
    broken.at_pass[5 * (4 // (before or 4))] = crash
    with pytest.raises(Crash):
        run(broken, tmp_path, micro_batch=before)
    network = Quiet()
    assert run(network, tmp_path, micro_batch=after) == pytest.approx(losses, abs=1e-12)
    assert network.passes == (STEPS - 3) * (4 // (after or 4))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("passes", range(7, 11))
def test_on_sigterm_in_the_middle_of_a_batch_it_finishes_the_step(passes: int, tmp_path: Path) -> None:
    whole = Noisy()
    losses = run(whole, None, micro_batch=2)
    asked = Noisy()
    asked.at_pass[passes] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit):
        run(asked, tmp_path, micro_batch=2)
    assert written(tmp_path)[0] == f"step-{(passes + 1) // 2}.ckpt"
    network = Noisy()
    check(network, run(network, tmp_path, micro_batch=2), (whole.state_dict(), losses))


def test_a_training_that_its_trainer_cuts_short_is_none() -> None:
    with pytest.raises(UserError, match=r"unit: the trainer ended after 4 of 11 steps: leave its own limits out"):
        run(Noisy(), None, limit_train_batches=4)
