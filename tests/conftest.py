"""What the tests share: composing configs, running the command line in this process, small data."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from eaglebench.__main__ import main
from eaglebench.config.compose import CONF, options
from eaglebench.config.resolvers import register_resolvers

EXPERTS = ("clip", "convnext", "pix2struct", "eva02", "sam", "sam_vary", "dinov2")
LIBRARIES = ("timm", "open_clip", "hf")  # experts that are any backbone of a library
FUSIONS = options("fusion")


def composed(*overrides: str) -> DictConfig:
    """The config that a command line with these words gives."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for a cluster begin first: the others fill that time."""
    items.sort(key=lambda item: "slurm" not in getattr(item, "fixturenames", ()))


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
    """`command("debug=fast", ...)` runs `python -m eaglebench debug=fast ...` in this process."""

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
def fast_store(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that share rendered data and finished stages between the tests of a session."""
    root = tmp_path_factory.mktemp("shared")
    return [f"store={root}/store", f"world.root={root}/data", "debug=fast"]


@pytest.fixture(scope="session")
def finished_run(fast_store: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished fast run of the default experiment."""
    folder = tmp_path_factory.mktemp("run")
    argv = sys.argv
    sys.argv = ["eaglebench", *fast_store, f"hydra.run.dir={folder}"]
    try:
        main()
    finally:
        sys.argv = argv
    yield folder


def write_records(folder: Path, records: list[dict], name: str = "data.json") -> Path:
    """A LLaVA file with an 8 x 6 image `a.png` beside it."""
    Image.new("RGB", (8, 6), (200, 30, 30)).save(folder / "a.png")
    path = folder / name
    path.write_text(json.dumps(records))
    return path


def turns(*texts: str) -> list[dict[str, str]]:
    """A LLaVA conversation of alternating questions and answers."""
    return [{"from": "gpt" if index % 2 else "human", "value": text} for index, text in enumerate(texts)]
