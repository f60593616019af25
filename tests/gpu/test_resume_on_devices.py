"""A stage that is stopped half-way ends with the weights of an unbroken one, bit for bit, on each device."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from eaglebench.config.compose import compose_command
from eaglebench.runs import MODEL
from eaglebench.tasks.train_run import train_stages
from eaglebench.training.module import TrainingModule
from eaglebench.utils.errors import TERMINATED
from tests.gpu.main_job import BATCH, TRAINERS, list_overrides

STEPS, STOPPED = 4, 2  # optimizer steps
ONE_STAGE = (  # in which everything trains
    "stages=[sft]", f"stages.sft.batch_size={BATCH}", f"stages.sft.steps={STEPS}", "validation.every=0",
    "evaluation.blind.steps=0", "trainer.deterministic=true",
)  # fmt: skip


def send_sigterm_in(step: int, patch: pytest.MonkeyPatch) -> None:
    """Pre-empt a training while it computes this optimizer step."""
    training_step = TrainingModule.training_step

    def signalled(self: TrainingModule, weighted_batch: tuple[Any, float], batch_index: int) -> Tensor:
        if self.global_step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return training_step(self, weighted_batch, batch_index)

    patch.setattr(TrainingModule, "training_step", signalled)


def read_weights(folder: Path) -> dict[str, bytes]:
    """The bytes of each tensor of a run's model."""
    return {name: value.numpy().tobytes() for name, value in load_file(folder / MODEL).items()}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])  # with a fused AdamW, and without
def test_a_stopped_stage_ends_with_the_weights_of_an_unbroken_one(
    precision: str,
    device: str,
    fast_store: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = [*ONE_STAGE, TRAINERS[device], f"trainer.precision={precision}"]
    command = compose_command([*list_overrides(fast_store, tmp_path), *own], tmp_path / "run")
    train_stages(command)
    unbroken = read_weights(command.folder)
    shutil.rmtree(tmp_path / "store")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as exit:
        send_sigterm_in(STOPPED, patch)
        train_stages(command)
    assert exit.value.code == TERMINATED
    train_stages(command)
    out = capsys.readouterr().out
    assert f"sft: received SIGTERM; the same command resumes from step {STOPPED}" in out
    assert f"sft: resumes from step {STOPPED} of {STEPS}" in out
    resumed = read_weights(command.folder)
    assert resumed.keys() == unbroken.keys()
    assert [name for name in resumed if resumed[name] != unbroken[name]] == []
