"""Trials run side by side and are not repeated. A small program stands in for `python -m eaglebench`."""

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from rich.console import Console

from eaglebench.config.compose import Command, compose_command
from eaglebench.config.inputs import input_fingerprints
from eaglebench.launchers.base import Launcher, build_launcher
from eaglebench.launchers.local import LocalLauncher
from eaglebench.launchers.slurm import SlurmLauncher
from eaglebench.search.trials import NO_SCORES, Trial, TrialResult, run_trials
from eaglebench.utils.errors import UserError
from tests.helpers.cluster import wait_until

# In the place of `python -m eaglebench OVERRIDES`: writes the scores of a run, 0.<seed>; seed 13 fails; seeds 20 and
# 21 take seconds, 60 a minute.
PROGRAM = """#!{python}
import json, os, pathlib, re, sys, time
overrides = dict(override.split("=", 1) for override in sys.argv[3:])
seed, folder = overrides["seed"], pathlib.Path(overrides["hydra.run.dir"].strip("'"))
with open("started", "a") as file:
    file.write(f"{{seed}} {{os.environ.get('OMP_NUM_THREADS')}}\\n")
if seed == "13":
    print("a line")
    sys.exit("error: thirteen is not for training.")
if seed == "14":
    sys.exit("killed")
if seed in ("20", "21"):  # each waits for the other one to start
    deadline = time.time() + 60
    while len(open("started").readlines()) < 2 and time.time() < deadline:
        time.sleep(0.05)
    if len(open("started").readlines()) < 2:
        sys.exit("error: no other trial started.")
time.sleep({{"60": 60}}.get(seed, 0.2))
folder.mkdir(parents=True, exist_ok=True)
if seed != "15":
    (folder / "scores.json").write_text(json.dumps({{"overall": {{"score": float("0." + seed)}}, "families": {{}}}}))
(folder / "manifest.json").write_text("{{}}")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which trials run."""
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(Launcher, "poll_seconds", 0.1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def seeds(*numbers: int) -> list[Trial]:
    return [Trial(f"seed {number}", (f"seed={number}",)) for number in numbers]


def console() -> Console:
    return Console(record=True, width=200, force_terminal=False)


def slurm() -> Launcher:
    return build_launcher(compose_command(["launcher=slurm"]).config.launcher)


def run(trials: Sequence[Trial], launcher: Launcher, shown: Console, common: Sequence[str] = ()) -> list[TrialResult]:
    return run_trials(trials, compose_command(["task=sweep", "sweep=any.yaml"]), launcher, shown, common)


def run_of(*overrides: str) -> Command:
    return compose_command(overrides)


def started(place: Path) -> list[list[str]]:
    return [line.split() for line in (place / "started").read_text().splitlines()]


def test_results_come_in_order_and_a_failed_one_ends_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(seeds(3, 13, 14, 15, 5), LocalLauncher(2), console())
    assert [result.scores and result.scores["overall"]["score"] for result in found] == [0.3, None, None, None, 0.5]
    log = Path("results/jobs") / f"{found[1].folder.name}.log"
    assert found[1].error == f"thirteen is not for training. (full output: {log})"
    assert found[2].error is not None and found[2].error.startswith("exit code 1: killed (full output: ")
    assert found[3].error == "nothing was evaluated: set data.val"
    assert log.read_text() == "a line\nerror: thirteen is not for training.\n"
    printed = capsys.readouterr().out
    assert re.search(r"^\d/5 seed 3: 0\.3000  \[0:00:\d\d", printed, re.MULTILINE)
    assert found[0].folder == run_of("seed=3").folder


def test_what_is_finished_is_not_run_again(place: Path) -> None:
    run(seeds(1, 13), LocalLauncher(1), console())
    again = run(seeds(1, 13, 2), LocalLauncher(1), console())
    assert [result.reused for result in again] == [True, False, False]
    assert [line[0] for line in started(place)] == ["1", "13", "13", "2"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("scores.json", text) for text in ("{half", "[1]", "{}", '{"overall": {}}', '{"overall": {"score": "1"}}')),
        *(("manifest.json", text) for text in ("{half", "[1]")),
    ],
)
def test_what_is_finished_and_damaged_is_run_again(name: str, damage: str, place: Path) -> None:
    (first,) = run(seeds(1), LocalLauncher(1), console())
    (first.folder / name).write_text(damage)
    (again,) = run(seeds(1), LocalLauncher(1), console())
    assert (again.reused, again.scores and again.scores["overall"]["score"]) == (False, 0.1)


def test_what_was_finished_with_other_data_is_run_again(place: Path) -> None:
    """And what the run leaves counts only if it read what is there."""
    (place / "my.json").write_text("[]")
    overrides = ["data=llava_json", "data.train=my.json"]
    run(seeds(1), LocalLauncher(1), console(), overrides)
    command = run_of(*overrides, "seed=1")
    manifest = place / command.folder / "manifest.json"
    manifest.write_text(json.dumps({"inputs": input_fingerprints(command.config)}))
    assert [result.reused for result in run(seeds(1), LocalLauncher(1), console(), overrides)] == [True]
    (place / "my.json").write_text("[1]")
    shown = console()
    (again,) = run(seeds(1), LocalLauncher(1), shown, overrides)
    assert "seed 1: my.json changed since it was finished; running it again" in shown.export_text()
    assert again.error is not None  # the program does not say what it read: its scores may be those of before
    assert len(started(place)) == 2


def test_a_trial_may_set_fields_that_the_user_names(place: Path) -> None:
    (result,) = run([Trial("checkpoint", ("seed=1", "pretrained.clip=none"))], LocalLauncher(1), console())
    assert result.scores is not None


def test_a_config_that_cannot_work_is_a_failed_trial(place: Path) -> None:
    wrong = Trial("wrong", ("experts=[clip,clip]",))
    unknown = Trial("unknown", ("fusion=glue",))
    found = run([wrong, unknown, *seeds(1)], LocalLauncher(1), console())
    assert found[0].error is not None and "clip" in found[0].error
    assert found[1].error is not None and "glue" in found[1].error
    assert found[2].scores is not None


def test_what_cannot_be_composed_is_a_failed_trial_too(place: Path) -> None:
    found = run([Trial("odd", ("stages.sft.lr=3",)), Trial("none", ("llm=3",)), *seeds(1)], LocalLauncher(1), console())
    assert [result.error is None for result in found] == [False, False, True]


def test_what_cannot_be_written_fails_one_trial_and_what_cannot_be_read_is_run_again(place: Path) -> None:
    (blocked, broken, _) = (run_of(f"seed={seed}").folder for seed in (1, 2, 3))
    (place / "results/jobs" / f"{blocked.name}.log").mkdir(parents=True)
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{}")
    (broken / "scores.json").write_text("")
    found = run(seeds(1, 2, 3), LocalLauncher(1), console())
    assert [result.error is None for result in found] == [False, True, True]
    assert (found[1].reused, found[1].scores and found[1].scores["overall"]["score"]) == (False, 0.2)


def test_slurm_that_is_not_there_or_does_not_answer_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="launcher=slurm needs SLURM's sbatch, which is not on this machine"):
        run(seeds(1), slurm(), console())
    monkeypatch.setattr(SlurmLauncher, "squeue_retries", 2)
    for name in ("sbatch", "squeue"):
        (place / name).write_text("#!/bin/sh\necho no controller >&2; exit 1\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    (failed,) = run(seeds(1), slurm(), console())
    assert failed.error == "SLURM does not answer (no controller)"


def test_a_job_of_this_folder_is_waited_for_and_no_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue has a job of the same name from elsewhere, and for two questions one of this folder."""
    (place / "sbatch").touch(0o755)
    folder = run_of("seed=1").folder
    (place / "squeue").write_text(
        f"#!/bin/sh\necho /elsewhere\necho . >> {place}/asked\n"
        f"[ $(wc -l < {place}/asked) -gt 2 ] || echo {place}\n"
        f"[ $(wc -l < {place}/asked) -lt 3 ] || (mkdir -p {folder}; echo '{{}}' > {folder}/manifest.json;"
        f' echo \'{{"overall": {{"score": 0.5}}, "families": {{}}}}\' > {folder}/scores.json)\n'
    )
    (place / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    (found,) = run(seeds(1), slurm(), console())
    assert found.scores == {"overall": {"score": 0.5}, "families": {}}


def test_scores_of_other_data_are_not_those_of_a_job_that_left_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("sbatch", "squeue"):
        (place / program).write_text("#!/bin/sh\n")
        (place / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setattr(SlurmLauncher, "submit", lambda launcher, job: None)
    (place / "my.json").write_text("[]")
    overrides = ["data=llava_json", "data.train=my.json"]
    command = run_of(*overrides, "seed=1")
    folder = place / command.folder
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text('{"overall": {"score": 0.5}, "families": {}}')
    (folder / "manifest.json").write_text(json.dumps({"inputs": input_fingerprints(command.config)}))
    assert [found.reused for found in run(seeds(1), slurm(), console(), overrides)] == [True]
    (place / "my.json").write_text("[1]")
    (found,) = run(seeds(1), slurm(), console(), overrides)
    assert (found.scores, found.error) == (None, f"{NO_SCORES} (full output: results/jobs)")


def test_they_share_the_cores_and_run_side_by_side(place: Path) -> None:
    found = run(seeds(20, 21), LocalLauncher(2), console())
    assert [result.error for result in found] == [None, None]
    first, second = started(place)
    cores = max(1, len(os.sched_getaffinity(0)) // 2)
    assert first[1] == second[1] == str(cores)


def in_a_process(*numbers: int) -> BaseProcess:
    """A command of its own that runs trials of these seeds, one by one."""
    process = get_context("fork").Process(target=run, args=(seeds(*numbers), LocalLauncher(1), console()))
    process.start()
    return process


def test_two_commands_that_want_the_same_run_have_it_run_once(place: Path) -> None:
    """So does a command that is started again while a trial of its own still runs."""
    both = [in_a_process(1), in_a_process(1)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert [line[0] for line in started(place)] == ["1"]


def test_asked_to_end_it_ends_its_trials(place: Path) -> None:
    running = in_a_process(60, 1)
    wait_until(lambda: (place / "started").is_file(), "the first trial to start")
    begin = time.monotonic()
    running.terminate()
    running.join(30)
    assert running.exitcode == 143
    assert time.monotonic() - begin < 20
    assert [line[0] for line in started(place)] == ["60"]
