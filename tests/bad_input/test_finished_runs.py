"""A finished run is left alone: by the same command, by another one in its folder, and by one that is interrupted."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from eaglebench.runs import BENCHMARKED, MANIFEST, MODEL, SCORES, finish_replacing, lock_run, replace_run, rerun_folder
from eaglebench.tasks import train_run
from tests.conftest import Outcome, turns, write_records


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "results" / "run"))


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes and the time of each file."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_command_says_so_and_touches_nothing(
    run: Path, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    before = contents(run.parent)
    outcome = command(*fast_store, f"hydra.run.dir={run}")
    assert outcome.code == 0
    assert f"{run} is finished and left as it is; rerun=true trains it anew" in " ".join(outcome.out.split())
    assert "overall" in outcome.out
    assert contents(run.parent) == before


def test_a_command_for_another_run_is_refused(
    run: Path, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    before = contents(run)
    outcome = command(*fast_store, f"hydra.run.dir={run}", "seed=1", "stages.sft.lr.llm=0.5")
    assert outcome.code == 2
    assert "holds a finished run with another seed, stages.sft.lr.llm: give another hydra.run.dir" in outcome.err
    assert contents(run) == before


def test_a_run_of_another_version_is_left_alone(
    run: Path, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("config_version: 2", "config_version: 1"))
    before = contents(run)
    outcome = command(*fast_store, f"hydra.run.dir={run}")
    assert (outcome.code, "rerun=true trains it anew and replaces it" in outcome.err) == (2, True)
    assert contents(run) == before


def test_it_is_not_taken_for_one_of_changed_data(
    tmp_path: Path, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    record = {"id": "1", "image": "a.png", "conversations": turns("<image>\nWhat?", "red")}
    data = write_records(tmp_path, [record] * 64)
    words = [
        *fast_store,
        "data=llava_json",
        f"data.train={data}",
        f"hydra.run.dir={tmp_path / 'run'}",
        "experts=[clip]",
        "stages=[projector]",
    ]
    assert command(*words).code == 0
    before = contents(tmp_path / "run")
    write_records(tmp_path, [record] * 65)
    outcome = command(*words)
    assert outcome.code == 2
    assert f"is finished, and {data} changed since: rerun=true trains it anew" in outcome.err
    assert contents(tmp_path / "run") == before
    assert command(*words, "rerun=true").code == 0
    assert contents(tmp_path / "run")[MANIFEST] != before[MANIFEST]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "data.json", "run"]


def test_training_it_anew_replaces_it_in_the_end(
    run: Path, fast_store: list[str], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / BENCHMARKED).mkdir()
    (run / BENCHMARKED / SCORES).write_text("{}")
    before = contents(run)
    words = (*fast_store, f"hydra.run.dir={run}", "rerun=true")
    with monkeypatch.context() as patch:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("eaglebench.tasks.train_run.evaluate_trained", interrupt)
        assert command(*words).code == 130
        assert contents(run) == before
    outcome = command(*words)
    assert outcome.code == 0
    after = contents(run)
    assert after[MANIFEST][1] > before[MANIFEST][1]
    assert after[MODEL][0] == before[MODEL][0]
    assert f"{BENCHMARKED}/{SCORES}" in after  # of the same weights
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    assert f"wrote {run}/:" in " ".join(outcome.out.split())


@pytest.mark.parametrize("crash_after", range(6))
def test_a_crash_while_it_is_replaced_loses_neither(
    run: Path, monkeypatch: pytest.MonkeyPatch, crash_after: int
) -> None:
    """Whichever of the steps it falls between, the next command finds a whole run."""
    old = {name: content for name, (content, _) in contents(run).items()}
    new = {name: bytes(reversed(content)) for name, content in old.items()}
    for name, content in new.items():
        (rerun_folder(run) / name).parent.mkdir(parents=True, exist_ok=True)
        (rerun_folder(run) / name).write_bytes(content)
    steps = iter(range(100))

    def crashing(original: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **keywords: object) -> object:
            if next(steps) >= crash_after:
                raise KeyboardInterrupt
            return original(*arguments, **keywords)

        return step

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        for owner, name in ((Path, "rename"), (Path, "rmdir"), (shutil, "rmtree")):
            patch.setattr(owner, name, crashing(getattr(owner, name)))
        replace_run(run)
    run.mkdir(exist_ok=True)  # as the next command does
    finish_replacing(run)
    assert {name: content for name, (content, _) in contents(run).items()} in (old, new)
    assert [path.name for path in run.parent.iterdir()] == ["run"]


# In the place of a process that trains the run: it holds the lock, and once that is awaited, the run is there.
TRAINING = """
import shutil, sys
from pathlib import Path
from eaglebench.runs import lock_run
run, finished = map(Path, sys.argv[1:])
with lock_run(run, print):
    print("held", flush=True)
    sys.stdin.readline()
    shutil.copytree(finished, run, dirs_exist_ok=True)
"""


def test_a_run_that_another_process_trains_is_waited_for(
    command: Callable[..., Outcome],
    finished_run: Path,
    fast_store: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def say(text: str) -> None:
        print(text)
        print(file=other.stdin, flush=True)

    run = tmp_path / "results/run"
    run.parent.mkdir()
    words = [sys.executable, "-c", TRAINING, str(run), str(finished_run)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    monkeypatch.setattr(train_run, "lock_run", lambda folder, log: lock_run(folder, say))
    outcome = command(*fast_store, f"hydra.run.dir={run}")
    other.communicate()
    assert outcome.code == 0, outcome.err
    said = "".join(outcome.out.split())
    assert f"process{other.pid}on" in said and "iswritingit;waitingforthatone" in said
    assert "isfinishedandleftasitis" in said
    assert [path.name for path in run.parent.iterdir()] == ["run"]


@pytest.mark.slow
def test_of_two_commands_at_once_one_waits(tmp_path: Path, fast_store: list[str]) -> None:
    short = ["stages=[sft]", "validation.every=0", "evaluation.blind.steps=0", "evaluation.shuffled=false"]
    words = [sys.executable, "-m", "eaglebench", *fast_store, *short, f"hydra.run.dir={tmp_path / 'results' / 'run'}"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = ["".join(process.communicate(timeout=300)[0].split()) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("iswritingit;waitingforthatone" in text for text in said) == 1
    assert sum("isfinishedandleftasitis" in text for text in said) == 1
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["run"]
