"""What the tests share: composing configs, running the command line in this process, small data."""

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Before torch is imported, and for the processes that tests start: most tests are too small for more than a thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from PIL import Image

from eaglebench.__main__ import main
from eaglebench.config.command_line import prepare_arguments
from eaglebench.config.compose import Command, compose_command, group_file, options
from eaglebench.config.schema import Config

LIBRARIES = tuple(  # experts that are any backbone of a library
    name for name in options("experts") if "backbone: ???" in group_file("experts", name).read_text()
)
EXPERTS = tuple(name for name in options("experts") if name not in LIBRARIES)
FUSIONS = options("fusion")


@cache
def command_of(*overrides: str) -> Command:
    """The command that a command line with these overrides runs, whether it could work or not."""
    return compose_command(prepare_arguments(overrides), check=False)


def composed(*overrides: str) -> Config:
    """The typed configuration that a command line with these overrides gives, whether it could work or not."""
    return command_of(*overrides).config


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=50, help="how often tests/test_kills.py kills a command")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many processes as cores for the whole suite; chosen files, and slow proofs with their memory, run in this
    one.
    """
    if list(config.args) != list(config.getini("testpaths")) or "not slow" not in config.option.markexpr:
        return 0
    return len(os.sched_getaffinity(0))


def pytest_collection_finish() -> None:
    """What is imported by now stays: no collection has to look through it."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Otherwise triton says at the end that its objects leak."""
    gc.unfreeze()


@dataclass
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def the_same_numbers_whatever_ran_before() -> None:
    """Random pixels and weights are those of one seed in every test."""
    torch.manual_seed(0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`command("fast=true", ...)` runs `python -m eaglebench fast=true ...` in this process."""

    def run(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["eaglebench", *words])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes of the suite: what one of them has made, the others use."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def fast_store(shared_folder: Path) -> list[str]:
    """Overrides that share rendered data and finished stages between the tests of a session: few steps of few samples,
    and few questions.
    """
    short = ("batch_size=4", "steps=2")
    small = [f"++presets.{stage}.tiny.{field}" for stage in options("stages") for field in short]
    small += ["world.train_images=48", "world.val_questions=3"]
    return [f"store={shared_folder}/store", f"data.cache_dir={shared_folder}/data", "fast=true", *small]


@pytest.fixture(scope="session")
def finished_run(fast_store: list[str], shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished fast run of the default experiment."""
    shared, argv = shared_folder / "run", sys.argv
    sys.argv = ["eaglebench", *fast_store, f"hydra.run.dir={shared}"]
    try:
        main()  # another process may be training it, or have: this one waits, or finds it finished
    finally:
        sys.argv = argv
    return Path(shutil.copytree(shared, tmp_path_factory.mktemp("run") / "run"))


def write_records(folder: Path, records: list[dict], name: str = "data.json") -> Path:
    """A LLaVA file with an 8 x 6 image `a.png` beside it."""
    Image.new("RGB", (8, 6), (200, 30, 30)).save(folder / "a.png")
    path = folder / name
    path.write_text(json.dumps(records))
    return path


def turns(*texts: str) -> list[dict[str, str]]:
    """A LLaVA conversation of alternating questions and answers."""
    return [{"from": "gpt" if index % 2 else "human", "value": text} for index, text in enumerate(texts)]
