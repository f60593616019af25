"""What a job does on a warning of SLURM. (A real SLURM is in test_launch.py.)"""

import os
import signal
from pathlib import Path

import pytest

from eaglebench.training.preemption import requeue_on_warning
from eaglebench.training.requeue import requeue_job
from eaglebench.utils.errors import TERMINATED


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Job 7 of a SLURM whose commands say what files hold, and write down how they are called."""
    commands = {
        "squeue": 'echo "squeue $*" >> calls; cat state',
        "scontrol": 'echo "scontrol $*" >> calls; if [ -e refusal ]; then cat refusal >&2; exit 1; fi',
    }
    for name, script in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "state").write_text("RUNNING\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("EAGLEBENCH_REQUEUE", "1")
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def requeued(slurm: Path) -> list[str]:
    return [line for line in (slurm / "calls").read_text().splitlines() if line.startswith("scontrol")]


def test_a_running_job_is_requeued(slurm: Path) -> None:
    logged: list[str] = []
    requeue_job(logged.append)
    assert requeued(slurm) == ["scontrol requeue 7"]
    assert logged == ["job 7 is pre-empted or at its time limit: it is requeued, and resumes from its last checkpoint"]


def test_a_task_of_an_array_is_named_as_one(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    requeue_job(print)
    assert requeued(slurm) == ["scontrol requeue 5_2"]


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", ""])
def test_a_job_that_was_cancelled_does_not(state: str, slurm: Path) -> None:
    (slurm / "state").write_text(f"{state}\n")
    logged: list[str] = []
    requeue_job(logged.append)
    assert requeued(slurm) == []
    assert logged == []


def test_what_slurm_refuses_is_logged(slurm: Path) -> None:
    (slurm / "refusal").write_text("Requested operation is presently disabled")
    logged: list[str] = []
    requeue_job(logged.append)
    assert "SLURM refuses to requeue job 7 (Requested operation is presently disabled)" in logged[-1]


def test_commands_that_are_not_there_are_told(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(slurm / "nowhere"))
    logged: list[str] = []
    requeue_job(logged.append)
    assert "squeue fails for job 7" in logged[0]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_between_two_stages_ends_the_process(number: signal.Signals, slurm: Path) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as exit, requeue_on_warning(print):
        os.kill(os.getpid(), number)
    assert exit.value.code == TERMINATED
    assert requeued(slurm) == ["scontrol requeue 7"]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("missing", ["SLURM_JOB_ID", "EAGLEBENCH_REQUEUE"])
def test_outside_of_a_job_of_its_own_signals_mean_what_they_meant(
    missing: str, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    before = signal.getsignal(signal.SIGUSR1)
    with requeue_on_warning(print):
        assert signal.getsignal(signal.SIGUSR1) is before
