"""Runs, selections and sweeps as jobs of a real SLURM."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from eaglebench.config.compose import compose_command
from eaglebench.launchers.base import build_launcher, job_of
from eaglebench.utils.errors import UserError
from tests.conftest import Outcome
from tests.helpers.cluster import missing_for_cluster, run_command, start_cluster, wait_until
from tests.helpers.commands import ONE_STAGE, TWO_PROCESSES, run_eaglebench

ROOT = Path(__file__).parents[2]
TABLE4 = ROOT / "sweeps/table4_fusion.yaml"
SUBMITTED = r"submitted job (\d+), log: (\S+)"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if reason := missing_for_cluster():
        pytest.skip(reason)
    with start_cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield {**environment, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", ["0", "0,1"])
def test_a_job_that_is_preempted(
    seeds: str, slurm: dict[str, str], tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    """Alone or in a multirun, it writes a checkpoint, is requeued, and ends with the scores of a run that is no job."""
    words = ["launcher=slurm", "launcher.cpus_per_task=1", *ONE_STAGE]
    multirun = ["-m"] if "," in seeds else []
    done = run_eaglebench(tmp_path, slurm, *multirun, f"seed={seeds}", *words)
    assert done.returncode == 0, done.stderr
    jobs = re.findall(SUBMITTED, done.stdout)
    assert len(jobs) == len(seeds.split(","))
    job, log = jobs[0]
    printed = Path(log.replace("%t", "0"))
    wait_until(lambda: printed.is_file() and "sft: step 15/60" in printed.read_text(), "the first job to train", 120)
    run_command(slurm, "scancel", "--signal=USR1", job)
    results = tmp_path / "results"
    wait_until(lambda: len(list(results.glob("clip+sam-*/manifest.json"))) == len(jobs), "the jobs to end", 240)
    printed_text = printed.read_text()
    assert f"job {job} is pre-empted or at its time limit: it is requeued" in printed_text
    assert re.search(r"sft: resumes from step \d+ of 60", printed_text)
    here = tmp_path / "here"
    outcome = command(
        *ONE_STAGE, f"hydra.run.dir={here}", f"store={here}/store", f"data.cache_dir={tmp_path}/here/data"
    )
    assert outcome.code == 0, outcome.err
    (first,) = results.glob("clip+sam-*-s0-*/scores.json")
    assert json.loads(first.read_text()) == json.loads((here / "scores.json").read_text())


@pytest.mark.slow
def test_a_job_of_two_tasks_is_preempted(slurm: dict[str, str], tmp_path: Path) -> None:
    """Both wait for the one that asks SLURM, however long that takes: the job is requeued, not ended by the other."""
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "squeue").write_text(f'#!/bin/sh\nsleep 5\nexec {shutil.which("squeue")} "$@"\n')
    (slow / "squeue").chmod(0o755)
    environment = {**slurm, "PATH": f"{slow}:{slurm['PATH']}"}
    overrides = [*TWO_PROCESSES, "trainer.deterministic=true", "launcher=slurm", "launcher.cpus_per_task=1"]
    done = run_eaglebench(tmp_path, environment, *overrides, *ONE_STAGE)
    assert done.returncode == 0, done.stderr
    ((job, log),) = re.findall(SUBMITTED, done.stdout)
    printed = Path(log.replace("%t", "0"))
    wait_until(lambda: printed.is_file() and "sft: step 15/60" in printed.read_text(), "the job to train", 120)
    run_command(slurm, "scancel", "--signal=USR1", job)
    wait_until(lambda: list((tmp_path / "results").glob("clip+sam-*/manifest.json")), "the job to end", 240)
    printed_text = printed.read_text()
    assert printed_text.count(f"job {job} is pre-empted or at its time limit: it is requeued") == 1
    assert re.search(r"sft: resumes from step \d+ of 60", printed_text)


@pytest.mark.slow
def test_the_trials_of_a_selection_are_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    """Stopped, it leaves them in the queue; started again, it waits for them, and submits none twice."""
    overrides = ["task=select", "fast=true", "select.start=[clip]", "select.pool=[sam]", "evaluation.blind.steps=0"]
    overrides += ["launcher=slurm", "launcher.cpus_per_task=1"]
    with (tmp_path / "log").open("w") as log:
        program = [sys.executable, "-m", "eaglebench", *overrides]
        running = subprocess.Popen(program, cwd=tmp_path, env=slurm, stdout=log, stderr=log)
    wait_until(lambda: re.search(SUBMITTED, (tmp_path / "log").read_text()), "the first job", 120)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 143
    again = run_eaglebench(tmp_path, slurm, *overrides)
    assert again.returncode == 0, again.stderr
    assert len(re.findall(SUBMITTED, again.stdout)) == 1  # of the other trial
    (folder,) = (tmp_path / "results").glob("selection-*")
    assert len(json.loads((folder / "selection.json").read_text())["rounds"]) == 2


@pytest.mark.slow
def test_the_runs_of_a_sweep_file_are_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    """Two run side by side; the same command runs none of them again."""
    shipped = yaml.safe_load(TABLE4.read_text())
    few = {"experts": {"value": "[clip]"}, "fusion": {"values": ["channel_concat", "sequence_append"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**shipped, "parameters": {**shipped["parameters"], **few}}))
    overrides = ["task=sweep", "sweep=mine.yaml", "fast=true", "launcher=slurm", "launcher.cpus_per_task=1"]
    first = run_eaglebench(tmp_path, slurm, *overrides, "logger=[csv]")
    assert first.returncode == 0, first.stderr
    assert len(set(re.findall(SUBMITTED, first.stdout))) == 2
    (written,) = (tmp_path / "results").glob("sweep-mine-*.json")
    rows = json.loads(written.read_text())
    assert sorted(row["parameters"]["fusion"] for row in rows) == ["channel_concat", "sequence_append"]
    again = run_eaglebench(tmp_path, slurm, *overrides, "logger=[csv]")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("(finished before)") == 2 and "submitted job" not in again.stdout


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.devices=auto", "trainer.devices=auto is not known until the job is scheduled"),
        ("store=none", "store=none loses the work of a pre-empted job"),
    ],
)
def test_what_no_job_can_do_is_refused(override: str, message: str) -> None:
    command = compose_command(["launcher=slurm", override])
    with pytest.raises(UserError, match=re.escape(message)):
        build_launcher(command.config.launcher).run_elsewhere(job_of(command))


def test_what_runs_in_this_process_only_is_no_job(command: Callable[..., Outcome]) -> None:
    outcome = command("task=pretrain", "pretrain=sam", "launcher=slurm")
    assert outcome.code == 2
    assert "task=pretrain takes minutes in this process: leave launcher as it is." in outcome.err
