"""Runs that another task starts. Their programs are small ones here, that leave what a run leaves."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from eaglebench import trials
from eaglebench.config.compose import CONF
from eaglebench.config.inputs import input_states
from eaglebench.config.resolvers import register_resolvers
from eaglebench.launchers.local import share
from eaglebench.search.trials import Trial, run_trials
from eaglebench.utils.errors import UserError
from tests.conftest import composed
from tests.helpers.cluster import until

ALONE, TWO = ({"name": "local", "at_once": count} for count in (1, 2))
# In the place of `python -m eaglebench WORDS`: writes the scores of a run, 0.<seed>; seed 13 fails; seeds 20 and 21 take seconds, 60 a minute.
PROGRAM = """#!{python}
import json, os, pathlib, re, sys, time
words = dict(word.split("=", 1) for word in sys.argv[3:])
seed, folder = words["seed"], pathlib.Path(words["hydra.run.dir"].strip("'"))
with open("started", "a") as file:
    file.write(f"{{seed}} {{os.environ.get('OMP_NUM_THREADS')}} {{time.time()}}\\n")
if seed == "13":
    print("a line")
    sys.exit("error: thirteen is not for training.")
if seed == "14":
    sys.exit("killed")
time.sleep({{"60": 60, "20": 4, "21": 4}}.get(seed, 0.2))
folder.mkdir(parents=True, exist_ok=True)
if seed != "15":
    (folder / "scores.json").write_text(json.dumps({{"overall": {{"score": float("0." + seed)}}, "families": {{}}}}))
(folder / "manifest.json").write_text("{{}}")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which trials run."""
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(trials, "POLL", 0.1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield tmp_path


def seeds(*numbers: int) -> list[Trial]:
    return [Trial(f"seed {number}", (f"seed={number}",)) for number in numbers]


def console() -> Console:
    return Console(record=True, width=200, force_terminal=False)


def launcher_of_jobs() -> dict[str, Any]:
    found = OmegaConf.to_container(compose("config", ["launcher=slurm"]).launcher)
    assert isinstance(found, dict)
    return found


def started(place: Path) -> list[list[str]]:
    return [line.split() for line in (place / "started").read_text().splitlines()]


def test_results_come_in_order_and_a_failed_one_ends_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_trials(seeds(3, 13, 14, 15, 5), TWO, console())
    assert [result.scores and result.scores["overall"]["score"] for result in found] == [0.3, None, None, None, 0.5]
    log = Path("results/jobs") / f"{found[1].folder.name}.log"
    assert found[1].error == f"thirteen is not for training. (all it said: {log})"
    assert found[2].error is not None and found[2].error.startswith("it ended with 1: killed (all it said: ")
    assert found[3].error == "nothing was evaluated: set data.val"
    assert log.read_text() == "a line\nerror: thirteen is not for training.\n"
    told = capsys.readouterr().out
    assert re.search(r"^\d/5 seed 3: 0\.3000  \[0:00:0\d", told, re.MULTILINE)
    assert found[0].folder == Path("results") / str(compose("config", ["seed=3"]).run_name)


def test_what_is_finished_is_not_run_again(place: Path) -> None:
    run_trials(seeds(1, 13), ALONE, console())
    again = run_trials(seeds(1, 13, 2), ALONE, console())
    assert [result.reused for result in again] == [True, False, False]
    assert [words[0] for words in started(place)] == ["1", "13", "13", "2"]


def test_what_was_finished_with_other_data_is_run_again(place: Path) -> None:
    """And what the run leaves counts only if it read what is there."""
    (place / "my.json").write_text("[]")
    words = ["data=llava_json", "data.train=my.json"]
    run_trials(seeds(1), ALONE, console(), words)
    cfg = compose("config", [*words, "seed=1"])
    manifest = place / "results" / str(cfg.run_name) / "manifest.json"
    manifest.write_text(json.dumps({"inputs": input_states(cfg)}))
    assert [result.reused for result in run_trials(seeds(1), ALONE, console(), words)] == [True]
    (place / "my.json").write_text("[1]")
    shown = console()
    (again,) = run_trials(seeds(1), ALONE, shown, words)
    assert "seed 1: my.json changed since it was finished; again" in shown.export_text()
    assert again.error is not None  # the program does not say what it read: its scores may be those of before
    assert len(started(place)) == 2


def test_a_config_that_cannot_work_is_a_failed_trial(place: Path) -> None:
    wrong = Trial("wrong", ("experts=[clip,clip]",))
    unknown = Trial("unknown", ("fusion=glue",))
    found = run_trials([wrong, unknown, *seeds(1)], ALONE, console())
    assert found[0].error is not None and "clip" in found[0].error
    assert found[1].error is not None and "glue" in found[1].error
    assert found[2].scores is not None


def test_what_cannot_be_composed_is_a_failed_trial_too(place: Path) -> None:
    found = run_trials([Trial("odd", ("stages.sft.lr=3",)), Trial("none", ("llm=3",)), *seeds(1)], ALONE, console())
    assert [result.error is None for result in found] == [False, False, True]


def test_what_cannot_be_written_fails_one_trial_and_what_cannot_be_read_is_run_again(place: Path) -> None:
    (blocked, broken, _) = (Path("results") / compose("config", [f"seed={seed}"]).run_name for seed in (1, 2, 3))
    (place / "results/jobs" / f"{blocked.name}.log").mkdir(parents=True)
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{}")
    (broken / "scores.json").write_text("")
    found = run_trials(seeds(1, 2, 3), ALONE, console())
    assert [result.error is None for result in found] == [False, True, True]
    assert (found[1].reused, found[1].scores and found[1].scores["overall"]["score"]) == (False, 0.2)


def test_slurm_that_is_not_there_or_does_not_answer_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = launcher_of_jobs()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="launcher=slurm needs SLURM's sbatch, which is not on this machine"):
        run_trials(seeds(1), jobs, console())
    monkeypatch.setattr(trials, "PATIENCE", 2)
    for name in ("sbatch", "squeue"):
        (place / name).write_text("#!/bin/sh\necho no controller >&2; exit 1\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    (failed,) = run_trials(seeds(1), jobs, console())
    assert failed.error == "SLURM does not answer (no controller)"


def test_a_job_of_this_folder_is_waited_for_and_no_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue has a job of the same name from elsewhere, and for two questions one of this folder."""
    (place / "sbatch").touch(0o755)
    folder = Path("results") / compose("config", ["seed=1"]).run_name
    (place / "squeue").write_text(
        f"#!/bin/sh\necho /elsewhere\necho . >> {place}/asked\n"
        f"[ $(wc -l < {place}/asked) -gt 2 ] || echo {place}\n"
        f"[ $(wc -l < {place}/asked) -lt 3 ] || (mkdir -p {folder}; echo '{{}}' > {folder}/manifest.json;"
        f' echo \'{{"overall": {{"score": 0.5}}}}\' > {folder}/scores.json)\n'
    )
    (place / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    (found,) = run_trials(seeds(1), launcher_of_jobs(), console())
    assert found.scores == {"overall": {"score": 0.5}}


def test_scores_of_other_data_are_not_those_of_a_job_that_left_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("sbatch", "squeue"):
        (place / program).write_text("#!/bin/sh\n")
        (place / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setattr(trials, "submit", lambda cfg, words: None)
    (place / "my.json").write_text("[]")
    words = ["data=llava_json", "data.train=my.json"]
    cfg = compose("config", [*words, "seed=1"])
    folder = place / "results" / str(cfg.run_name)
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text('{"overall": {"score": 0.5}}')
    (folder / "manifest.json").write_text(json.dumps({"inputs": input_states(cfg)}))
    assert [found.reused for found in run_trials(seeds(1), launcher_of_jobs(), console(), words)] == [True]
    (place / "my.json").write_text("[1]")
    (found,) = run_trials(seeds(1), launcher_of_jobs(), console(), words)
    assert (found.scores, found.error) == (None, f"{trials.NO_SCORES} (all it said: results/jobs)")


def test_they_share_the_cores_and_run_side_by_side(place: Path) -> None:
    run_trials(seeds(20, 21), TWO, console())
    first, second = started(place)
    cores = max(1, len(os.sched_getaffinity(0)) // 2)
    assert first[1] == second[1] == str(cores)
    assert abs(float(first[2]) - float(second[2])) < 4  # seconds that each takes


def test_each_has_devices_of_its_own_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cfg = composed("trainer=ddp", "trainer.devices=2")
    assert share(cfg, 0, 2) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert share(cfg, 1, 2) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert share(cfg, 2, 3) == {"CUDA_VISIBLE_DEVICES": "0,1"}  # shared: there are no more
    assert share(composed("trainer=gpu", "trainer.devices=[2]"), 0, 2) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,3,1")
    assert share(cfg, 1, 2) == {"CUDA_VISIBLE_DEVICES": "3,1"}


def in_a_process(*numbers: int) -> BaseProcess:
    """A command of its own that runs trials of these seeds, one by one."""
    process = get_context("fork").Process(target=run_trials, args=(seeds(*numbers), ALONE, console()))
    process.start()
    return process


def test_two_commands_that_want_the_same_run_have_it_run_once(place: Path) -> None:
    """So does one that is started again while a trial of its own goes on."""
    both = [in_a_process(1), in_a_process(1)]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert [words[0] for words in started(place)] == ["1"]


def test_asked_to_end_it_ends_its_trials(place: Path) -> None:
    running = in_a_process(60, 1)
    until(lambda: (place / "started").is_file(), "the first trial to start")
    begin = time.monotonic()
    running.terminate()
    running.join(30)
    assert running.exitcode == 143
    assert time.monotonic() - begin < 20
    assert [words[0] for words in started(place)] == ["60"]
