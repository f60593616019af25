"""A run that is killed at any moment resumes with the same command, and ends with the weights of an unbroken one."""

import csv
import multiprocessing
import os
import random
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pytest

from eaglebench.runs import MODEL
from eaglebench.utils.errors import TERMINATED

FIRST_LINE = "parts and learning rates"
# What a process needs is imported once; each process is forked off, and nothing else.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["eaglebench.tasks.train_run", "tests.conftest"])


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
    """`python -m eaglebench` with a few steps in each stage, in a folder of its own."""

    def __init__(self, folder: Path, data: Path, *overrides: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.overrides = [
            *("fast=true", f"data.cache_dir={data}", "data.limit=64", "checkpoint_every=2"),
            *(f"stages.{name}.steps=12" for name in ("pre_align", "projector", "sft")),
            *("evaluation.blind.steps=8", "store=store", "hydra.run.dir=run"),
            *overrides,
        ]

    def out(self) -> str:
        """What the last process printed so far."""
        file = self.folder / "out"
        return file.read_text() if file.exists() else ""

    def start(self, until: str) -> BaseProcess:
        """A process, once it has printed `until`."""
        (self.folder / "out").unlink(missing_ok=True)
        process = FRESH.Process(target=run, args=(self.folder, self.overrides))
        process.start()
        while until not in self.out():
            assert process.is_alive(), self.out()
            time.sleep(0.02)
        return process

    def finish(self) -> float:
        """Seconds from the first line to the end."""
        process = self.start(FIRST_LINE)
        started = time.monotonic()
        process.join()
        assert process.exitcode == 0, self.out()
        return time.monotonic() - started

    def killed(self, seconds: float) -> None:
        """Kill it so many seconds after its first line."""
        process = self.start(FIRST_LINE)
        time.sleep(seconds)
        process.kill()
        process.join()

    def curves(self) -> dict[str, list[float]]:
        """The losses in the run's log, by stage."""
        with (self.folder / "run" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows if row[name]] for name in rows[0] if name.endswith("/loss")}

    def results(self) -> dict[str, bytes]:
        """The weights of the whole model and of each stage, and the predictions."""
        files = [self.folder / "run" / MODEL, self.folder / "run" / "predictions.jsonl"]
        files += sorted((self.folder / "store").glob("*/*.safetensors"))
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


class Unbroken(NamedTuple):
    """Rendered data, how long an unbroken run takes after its first line, and what it gives."""

    data: Path
    seconds: float
    results: dict[str, bytes]
    curves: dict[str, list[float]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    root = tmp_path_factory.mktemp("unbroken")
    command = Command(root / "run", root / "data")
    return Unbroken(root / "data", command.finish(), command.results(), command.curves())


def check(kills: int, seed: int, tmp_path: Path, unbroken: Unbroken) -> None:
    moments = random.Random(seed)
    command = Command(tmp_path / "killed", unbroken.data)
    for _ in range(kills):
        command.killed(moments.uniform(0, unbroken.seconds))
    command.finish()
    given = command.results()
    assert given.keys() == unbroken.results.keys()
    assert [name for name in given if given[name] != unbroken.results[name]] == []
    curves = command.curves()
    assert curves.keys() == unbroken.curves.keys()
    for name, values in curves.items():  # those of finished stages are rounded
        assert values == pytest.approx(unbroken.curves[name], abs=1e-4)
    assert not list((command.folder / "store").rglob("*.ckpt"))


def test_killed_at_random_moments_it_ends_the_same(tmp_path: Path, unbroken: Unbroken) -> None:
    check(3, 0, tmp_path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_killed_again_and_again_it_ends_the_same(seed: int, tmp_path: Path, unbroken: Unbroken) -> None:
    """Fifty kills in all, each after a time that an unbroken run is still at work."""
    check(5, seed, tmp_path, unbroken)


def test_on_sigterm_it_says_where_it_resumes(tmp_path: Path, unbroken: Unbroken) -> None:
    long = ("stages.pre_align.steps=100000", "checkpoint_every=10")
    command = Command(tmp_path / "stopped", unbroken.data, *long)
    process = command.start(FIRST_LINE)
    while not list((command.folder / "store").rglob("*.ckpt")):  # before the first step, SIGTERM just ends a process
        assert process.is_alive(), command.out()
        time.sleep(0.02)
    process.terminate()
    process.join()
    assert process.exitcode == TERMINATED
    step = command.out().rpartition("received SIGTERM; the same command resumes from step ")[2].split()[0]
    command.start(f"pre_align/sam: resumes from step {step} of 100000").kill()
