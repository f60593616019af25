"""A run in processes of its own, and in jobs of a real SLURM."""

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

from tests.conftest import Outcome
from tests.helpers.cluster import cluster, run, until, why_not

ROOT = Path(__file__).parents[2]
TABLE4 = ROOT / "sweeps/table4_fusion.yaml"
# One stage, long enough to be met by a signal.
ARGUMENTS = ["debug=fast", "stages=[sft]", "stages.sft.steps=60", "checkpoints.every=1000", "evaluation.blind.steps=0"]

TOGETHER = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if reason := why_not():
        pytest.skip(reason)
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield {**environment, "OMP_NUM_THREADS": "1"}


def eaglebench(folder: Path, environment: dict[str, str] | None, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "eaglebench", *words]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_a_sweep_of_jobs_one_of_which_is_taken_away(slurm: dict[str, str], tmp_path: Path) -> None:
    """The job that is signalled writes a checkpoint, queues again, and ends as the other does: with the scores of a run that is not
    in a job."""
    done = eaglebench(tmp_path, slurm, "-m", "seed=0,1", "launcher=slurm", "launcher.cpus_per_task=1", *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"-s(\d)-\w+: job (\d+); it prints to (\S+)", done.stdout)
    assert [seed for seed, *_ in jobs] == ["0", "1"]
    _, job, log = jobs[0]
    printed = Path(log.replace("%t", "0"))
    until(lambda: printed.is_file() and "sft: step 15/60" in printed.read_text(), "the first job to train", 120)
    run(slurm, "scancel", "--signal=USR1", job)
    results = tmp_path / "results"
    until(lambda: len(list(results.glob("clip+sam-*/manifest.json"))) == 2, "both jobs to end", 240)
    told = printed.read_text()
    assert f"job {job} is to end: it queues again" in told
    assert re.search(r"sft: goes on from step \d+ of 60", told)
    here = eaglebench(tmp_path, None, f"hydra.run.dir={tmp_path}/here", f"store={tmp_path}/here/store", *ARGUMENTS)
    assert here.returncode == 0, here.stderr
    (first,) = results.glob("clip+sam-*-s0-*/scores.json")
    assert json.loads(first.read_text()) == json.loads((tmp_path / "here/scores.json").read_text())


@pytest.mark.slow
def test_a_job_of_two_tasks_is_taken_away(slurm: dict[str, str], tmp_path: Path) -> None:
    """Both wait for the one that asks SLURM, however long that takes: the job is queued again, and not ended by the other one."""
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "squeue").write_text(f'#!/bin/sh\nsleep 5\nexec {shutil.which("squeue")} "$@"\n')
    (slow / "squeue").chmod(0o755)
    environment = {**slurm, "PATH": f"{slow}:{slurm['PATH']}"}
    words = [*TOGETHER, "trainer.deterministic=true", "launcher=slurm", "launcher.cpus_per_task=1"]
    done = eaglebench(tmp_path, environment, *words, *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    ((job, log),) = re.findall(r"job (\d+); it prints to (\S+)", done.stdout)
    printed = Path(log.replace("%t", "0"))
    until(lambda: printed.is_file() and "sft: step 15/60" in printed.read_text(), "the job to train", 120)
    run(slurm, "scancel", "--signal=USR1", job)
    until(lambda: list((tmp_path / "results").glob("clip+sam-*/manifest.json")), "the job to end", 240)
    told = printed.read_text()
    assert told.count(f"job {job} is to end: it queues again") == 1
    assert re.search(r"sft: goes on from step \d+ of 60", told)


@pytest.mark.slow
def test_the_trials_of_a_selection_are_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    """Its own end leaves them in the queue; started again, it waits for them, and gives none twice."""
    words = ["task=select", "debug=fast", "select.start=[clip]", "select.pool=[sam]", "evaluation.blind.steps=0"]
    words += ["launcher=slurm", "launcher.cpus_per_task=1"]
    with (tmp_path / "log").open("w") as log:
        program = [sys.executable, "-m", "eaglebench", *words]
        running = subprocess.Popen(program, cwd=tmp_path, env=slurm, stdout=log, stderr=log)
    until(lambda: re.search(r"job \d+; it prints", (tmp_path / "log").read_text()), "the first job", 120)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 143
    again = eaglebench(tmp_path, slurm, *words)
    assert again.returncode == 0, again.stderr
    assert len(re.findall(r"job \d+; it prints", again.stdout)) == 1  # of the other trial
    (folder,) = (tmp_path / "results").glob("selection-*")
    assert len(json.loads((folder / "selection.json").read_text())["rounds"]) == 2


@pytest.mark.slow
def test_the_runs_of_a_sweep_file_are_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    """Two side by side; the same command runs none of them again."""
    shipped = yaml.safe_load(TABLE4.read_text())
    few = {"experts": {"value": "[clip]"}, "fusion": {"values": ["channel_concat", "sequence_append"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**shipped, "parameters": {**shipped["parameters"], **few}}))
    words = ["task=sweep", "sweep=mine.yaml", "debug=fast", "launcher=slurm", "launcher.cpus_per_task=1"]
    first = eaglebench(tmp_path, slurm, *words, "logger=[csv]")
    assert first.returncode == 0, first.stderr
    assert len(set(re.findall(r"job (\d+); it prints", first.stdout))) == 2
    (written,) = (tmp_path / "results").glob("sweep-mine-*.json")
    rows = json.loads(written.read_text())
    assert sorted(row["parameters"]["fusion"] for row in rows) == ["channel_concat", "sequence_append"]
    again = eaglebench(tmp_path, slurm, *words, "logger=[csv]")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("(finished before)") == 2 and "it prints" not in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_processes_whose_parent_is_asked_to_end_go_on_later(number: signal.Signals, tmp_path: Path) -> None:
    """With SIGTERM each writes a checkpoint first; Ctrl-C leaves the one that is there."""
    words = [*ARGUMENTS[:3], "checkpoints.every=5", *ARGUMENTS[4:], *TOGETHER, f"hydra.run.dir={tmp_path}/run"]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen([sys.executable, "-m", "eaglebench", *words], cwd=tmp_path, stdout=log, stderr=log)
    until(lambda: "sft: step 15/60" in (tmp_path / "log").read_text(), "it to train", 120)
    running.send_signal(number)
    assert running.wait(60) == (143 if number == signal.SIGTERM else 130)
    assert "Traceback" not in (tmp_path / "log").read_text()
    again = eaglebench(tmp_path, None, *words)
    assert again.returncode == 0, again.stderr
    assert re.search(r"sft: goes on from step \d+ of 60", again.stdout)


@pytest.mark.slow
def test_processes_of_one_command_give_what_one_process_gives(tmp_path: Path) -> None:
    """The same scores and weights, one voice, and what they store serves a single process."""
    common = [*ARGUMENTS[:2], "stages.sft.steps=4", "evaluation.blind.steps=2", f"store={tmp_path}/store"]
    together = eaglebench(
        tmp_path, None, *common, *TOGETHER, "trainer.deterministic=true", f"hydra.run.dir={tmp_path}/two"
    )
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("sft: step 4/4") == 1
    assert together.stderr == ""
    alone = eaglebench(tmp_path, None, *common, f"hydra.run.dir={tmp_path}/one")
    assert alone.returncode == 0, alone.stderr
    assert "sft: taken from the store" in alone.stdout
    scores = [json.loads((tmp_path / folder / "scores.json").read_text()) for folder in ("one", "two")]
    assert scores[0] == scores[1]


def test_a_mistake_in_every_process_is_one_sentence(tmp_path: Path) -> None:
    words = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "experts.clip.checkpoint=missing.pth"]
    done = eaglebench(tmp_path, None, *ARGUMENTS, *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the checkpoint missing.pth of experts.clip does not exist.")


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_starts(command: Callable[..., Outcome]) -> None:
    outcome = command("debug=fast", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=3")
    assert outcome.code == 2
    assert "stages.pre_align.batch_size=16 cannot be shared by 3 processes: make it a multiple." in outcome.err


def test_several_nodes_are_not_started_from_here(command: Callable[..., Outcome]) -> None:
    outcome = command("debug=fast", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.nodes=2")
    assert outcome.code == 2
    assert "trainer.nodes=2 needs a process for each device of each node: use launcher=slurm" in outcome.err
