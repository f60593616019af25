"""Runs on this machine: one process for each device, and the share of it that each trial gets."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eaglebench.config.compose import compose_command
from eaglebench.launchers.base import Job, Slot, job_of
from eaglebench.launchers.local import LocalLauncher
from eaglebench.utils.processes import PARENT
from tests.conftest import Outcome
from tests.helpers.cluster import wait_until
from tests.helpers.commands import ONE_STAGE, TWO_PROCESSES, run_eaglebench
from tests.helpers.processes import wait_until_gone


def job(*overrides: str) -> Job:
    return job_of(compose_command(overrides))


def test_a_job_runs_the_overrides_in_its_own_process() -> None:
    found = job("seed=3", "launcher=slurm", "launcher.cpus_per_task=1")
    assert found.arguments == ("seed=3", "launcher=local", f"hydra.run.dir='{found.folder}'")
    assert (found.name, found.processes, found.on_cpu) == (found.folder.name, 1, True)
    assert (found.resumable, job("store=none").resumable) == (True, False)


def test_each_trial_has_gpus_of_its_own_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    two = job("trainer=ddp", "trainer.devices=2")

    def environment(job: Job, slot: int, at_once: int) -> dict[str, str]:
        return LocalLauncher(at_once).environment_of(job, Slot(slot, 0))

    assert environment(two, 0, 2) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert environment(two, 1, 2) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert environment(two, 2, 3) == {"CUDA_VISIBLE_DEVICES": "0,1"}  # shared: there are no more
    assert environment(job("trainer=gpu", "trainer.devices=[2]"), 0, 2) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,3,1")
    assert environment(two, 1, 2) == {"CUDA_VISIBLE_DEVICES": "3,1"}


def test_trials_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert LocalLauncher(2).environment_of(job("trainer.devices=2"), Slot(0, 0)) == {"OMP_NUM_THREADS": "2"}


def test_a_trial_ends_with_its_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows the process that it has to follow."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho ${PARENT}\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    launcher, one = LocalLauncher(), job("fast=true")
    launcher.output_path(one).parent.mkdir(parents=True)
    with (tmp_path / "lock").open("w") as lock:
        launcher.start(one, Slot(0, lock.fileno()))
        assert launcher.wait(one, print) is None
    assert launcher.output_path(one).read_text() == f"{os.getpid()}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_processes_resume_after_their_parent_was_stopped(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """With SIGTERM each writes a checkpoint first; Ctrl-C leaves the one that is there. None outlives its parent."""
    overrides = [*ONE_STAGE[:-1], "checkpoint_every=5", *TWO_PROCESSES, f"hydra.run.dir={tmp_path}/run"]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "eaglebench", *overrides], cwd=tmp_path, stdout=log, stderr=log
        )
    wait_until(lambda: "sft: step 15/60" in (tmp_path / "log").read_text(), "it to train", 120)
    running.send_signal(number)
    assert running.wait(60) == code
    assert wait_until_gone(tmp_path, 60) == []
    assert "Traceback" not in (tmp_path / "log").read_text()
    again = run_eaglebench(tmp_path, None, *overrides)
    assert again.returncode == 0, again.stderr
    assert re.search(r"sft: resumes from step \d+ of 60", again.stdout)


@pytest.mark.slow
def test_processes_of_one_command_give_what_one_process_gives(tmp_path: Path) -> None:
    """The same scores and weights, one voice, and what they store serves a single process."""
    common = [*ONE_STAGE[:2], "stages.sft.steps=4", "evaluation.blind.steps=2", f"store={tmp_path}/store"]
    together = run_eaglebench(
        tmp_path, None, *common, *TWO_PROCESSES, "trainer.deterministic=true", f"hydra.run.dir={tmp_path}/two"
    )
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("sft: step 4/4") == 1
    assert together.stderr == ""
    alone = run_eaglebench(tmp_path, None, *common, f"hydra.run.dir={tmp_path}/one")
    assert alone.returncode == 0, alone.stderr
    assert "sft: taken from the store" in alone.stdout
    scores = [json.loads((tmp_path / folder / "scores.json").read_text()) for folder in ("one", "two")]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_a_mistake_in_every_process_is_one_sentence(tmp_path: Path) -> None:
    overrides = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "experts.clip.checkpoint=missing.pth"]
    done = run_eaglebench(tmp_path, None, *ONE_STAGE, *overrides)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the checkpoint missing.pth of experts.clip does not exist.")


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_starts(command: Callable[..., Outcome]) -> None:
    outcome = command("fast=true", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=3")
    assert outcome.code == 2
    assert "stages.pre_align.batch_size=16 cannot be shared by 3 processes: make it a multiple." in outcome.err


def test_several_nodes_are_not_started_from_here(command: Callable[..., Outcome]) -> None:
    outcome = command("fast=true", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.nodes=2")
    assert outcome.code == 2
    assert "trainer.nodes=2 needs a process for each device of each node: use launcher=slurm" in outcome.err
