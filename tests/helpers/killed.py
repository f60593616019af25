"""Commands that are killed at random moments and run again, and what became of their results."""

import base64
import csv
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from eaglebench.stages.artefact_files import UNFINISHED
from tests.helpers.processes import wait_until_gone
from tests.helpers.releases import encode_png

FIRST_LINE = "parts and learning rates"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILLS_IN_A_ROW = 5  # before a command is left to finish
MEASURED = ("seconds", "minutes", "images_per_second")  # in JSON: they differ from one time to the next
# What a process needs is imported once; each process is forked off, and nothing else.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["eaglebench.tasks.train_run", "eaglebench.tasks.pretrain_run", "tests.conftest"])


class Task(NamedTuple):
    """A command, and what it leaves.

    Attributes:
        overrides: of `python -m eaglebench`, in the folder of the command.
        results: patterns of the files that an interrupted command must leave as an unbroken one does.
        start: what it prints before the moments at which it is killed.
        prepare: makes the files that it reads, given its folder and that of an unbroken training.
    """

    overrides: list[str]
    results: list[str]
    start: str = ""
    prepare: Callable[[Path, Path], None] = lambda folder, trained: None


def copy_run(folder: Path, trained: Path) -> None:
    """A finished run, and the store that it came from."""
    for name in ("run", "store"):
        shutil.copytree(trained / name, folder / name)


def write_release(folder: Path, trained: Path) -> None:
    """A release of MMBench with two hundred pictures."""
    (folder / "source").mkdir()
    with (folder / "source/mmbench_dev_en.tsv").open("w", newline="") as file:
        names = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image"]
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(names)
        for index in range(200):
            image = base64.b64encode(encode_png(f"#0000{index:02x}")).decode()
            writer.writerow([index, "Which?", "", "left", "right", "", "", "A", "x", image])


def write_sweep(folder: Path, trained: Path) -> None:
    """A sweep of two seeds."""
    (folder / "seeds.yaml").write_text("method: grid\nparameters: {seed: {values: [0, 1]}}\n")


FINISHED = "is finished and left as it is"
DATA = ["fast=true", "data.cache_dir=../data", "data.limit=64"]
STAGES = [
    "checkpoint_every=2",
    "stages=[pre_align,sft]",
    *(f"stages.{name}.{field}" for name in ("pre_align", "sft") for field in ("steps=8", "batch_size=4")),
    "validation.samples=4",
    "evaluation.blind.steps=4",
]
ONE_STAGE = ["stages=[sft]", "stages.sft.steps=6", "checkpoint_every=2", "evaluation.blind.steps=0"]
RUN = ["run/model.safetensors", "run/predictions.jsonl", "run/scores.json", "run/metrics.csv", "store/*/*.safetensors"]
TRIALS = ["results/*/model.safetensors", "results/*/predictions.jsonl", "results/*/metrics.csv"]
TASKS = {
    "train": Task([*DATA, *STAGES, "validation.every=4", "store=store", "hydra.run.dir=run"], RUN, FIRST_LINE),
    "render": Task(
        [*DATA, *ONE_STAGE, "data.cache_dir=data", "store=store", "hydra.run.dir=run"],
        # Predictions name the images, which have a folder of their own.
        [*(name for name in RUN if "predictions" not in name), "data/*/**/*.*"],
    ),
    "eval": Task(["task=eval", "run=run", "data.cache_dir=../data"], ["run/eval/*.json*"], prepare=copy_run),
    "report": Task(["task=report", "report.runs=run", "report.to=to"], ["to/**/*.*"], prepare=copy_run),
    "convert": Task(
        ["task=convert", "convert.benchmark=mmbench", "convert.source=source", "convert.to=to/mmbench.jsonl"],
        ["to/**/*.*"],
        prepare=write_release,
    ),
    "pretrain": Task(
        ["task=pretrain", "pretrain=llm", "fast=true", "pretrain.folder=zoo"], ["zoo/*.safetensors", "zoo/*.json"]
    ),
    "select": Task(
        ["task=select", "select.start=[clip]", "select.pool=[sam]", *DATA, *ONE_STAGE],
        ["results/selection-*/*.json", *TRIALS],
    ),
    "sweep": Task(
        ["task=sweep", "sweep=seeds.yaml", "launcher.at_once=2", *DATA, *ONE_STAGE],
        ["results/sweep-*.json", *TRIALS],
        prepare=write_sweep,
    ),
}


def run(folder: Path, overrides: list[str]) -> None:
    """`python -m eaglebench OVERRIDES` in a folder, what it prints in a file there."""
    os.chdir(folder)
    sys.argv = ["eaglebench", *overrides]
    sys.stdout = sys.stderr = (folder / "out").open("w", buffering=1)

    import torch

    from eaglebench.__main__ import main

    torch.set_num_threads(1)  # others on the machine must not change the order in which numbers are added
    main()


class Command:
    """`python -m eaglebench` with some overrides in a new folder of its own."""

    def __init__(self, task: Task, folder: Path, trained: Path, *overrides: str) -> None:
        self.task = task
        self.folder = folder
        folder.mkdir()
        task.prepare(folder, trained)
        self.overrides = [*task.overrides, *overrides]

    def out(self) -> str:
        """What the last process printed so far."""
        file = self.folder / "out"
        return file.read_text() if file.exists() else ""

    def start(self, until: str) -> BaseProcess:
        """A process, once it has printed `until`, or that nothing is left to do."""
        (self.folder / "out").unlink(missing_ok=True)
        process = FRESH.Process(target=run, args=(self.folder, self.overrides))
        process.start()
        while until not in self.out() and FINISHED not in self.out():
            assert process.is_alive(), self.out()
            time.sleep(0.02)
        return process

    def finish(self) -> float:
        """Seconds from the beginning of the moments at which it is killed to the end."""
        process = self.start(self.task.start)
        started = time.monotonic()
        process.join()
        assert process.exitcode == 0, self.out()
        return time.monotonic() - started

    def kill(self, seconds: float, number: signal.Signals) -> bool:
        """Send it a signal after so many seconds, and wait for its end; False if it had ended before."""
        process = self.start(self.task.start)
        time.sleep(seconds)
        alive = process.is_alive()
        if alive:
            os.kill(process.pid or 0, number)
        process.join()
        return alive

    def results(self) -> dict[str, Any]:
        """The files of its results by name: of JSON the contents without what is measured, of others the bytes."""
        found = sorted({path for pattern in self.task.results for path in self.folder.glob(pattern) if path.is_file()})
        return {str(path.relative_to(self.folder)): read_result(path) for path in found}

    def leftovers(self) -> list[str]:
        """Hidden files and folders, and checkpoints of stages that are finished."""
        paths = [path for path in self.folder.rglob("*") if path.name != UNFINISHED]
        left = [path for path in paths if path.name.startswith(".") or path.parent.name == UNFINISHED]
        return [str(path.relative_to(self.folder)) for path in left]


def read_result(path: Path) -> Any:
    """What is compared of a file."""
    return drop_measured(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()


def drop_measured(value: Any) -> Any:
    """JSON without the values of MEASURED, at any depth."""
    if isinstance(value, dict):
        return {name: drop_measured(inner) for name, inner in value.items() if name not in MEASURED}
    return [drop_measured(inner) for inner in value] if isinstance(value, list) else value


@dataclass
class Tally:
    """What became of commands that were killed, and run again until they finished."""

    kills: int = 0
    lost: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = {"lost": self.lost, "unequal": self.unequal, "orphans": self.orphans, "leftovers": self.leftovers}
        return f"{self.kills} kills: {', '.join(f'{len(found)} {name}' for name, found in faults.items())}"


@dataclass
class Material:
    """A folder with rendered data, and one unbroken run of each task: its length in seconds and its results."""

    root: Path
    unbroken: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    @property
    def trained(self) -> Path:
        """The folder of the unbroken training."""
        return self.root / "train"

    def run_unbroken(self, name: str) -> tuple[float, dict[str, Any]]:
        """How long a task takes in seconds, and what it gives."""
        if name not in self.unbroken:
            if name != "train":
                self.run_unbroken("train")  # which renders the data
            command = Command(TASKS[name], self.root / name, self.trained)
            seconds = command.finish()
            self.unbroken[name] = seconds, command.results()
        return self.unbroken[name]

    def kill(self, name: str, kills: int, random: Random, tally: Tally) -> None:
        """Kill a task so many times at random moments, run it to its end, and add what became of it to `tally`."""
        seconds, expected = self.run_unbroken(name)
        assert expected
        command = Command(TASKS[name], self.root / f"{name}-{random.getrandbits(64):x}", self.trained)
        for _ in range(kills):
            number = random.choice(SIGNALS)
            tally.kills += command.kill(random.uniform(0, seconds), number)
            tally.orphans += [f"{name} {number.name}: {one}" for one in wait_until_gone(command.folder, 60)]
        try:
            command.finish()
        except AssertionError as error:
            tally.lost.append(f"{name}: {error}")
            return
        given = command.results()
        tally.unequal += [
            f"{name}: {file}" for file in expected.keys() | given.keys() if given.get(file) != expected.get(file)
        ]
        tally.leftovers += [f"{name}: {path}" for path in command.leftovers()]
        shutil.rmtree(command.folder)
