"""The front door for Python: train, load, ask, features, scores, configuration."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eaglebench
from eaglebench.config.schema import Config
from eaglebench.trained import Run
from eaglebench.utils.errors import UserError


@pytest.fixture(scope="session")
def run(finished_run: Path) -> Run:
    return eaglebench.load(finished_run)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "page.png")
    return tmp_path / "page.png"


def test_the_package_shows_its_door_and_nothing_heavy_behind_it() -> None:
    assert dir(eaglebench) == ["__version__", "load", "train"]
    program = "import sys, eaglebench; print(eaglebench.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [eaglebench.__version__, "False"]


def test_the_source_runs_without_being_installed() -> None:
    """As on a machine where only the folder is on the path: there is no metadata of eaglebench."""
    program = (
        "import importlib.metadata as metadata; installed = metadata.version\n"
        "metadata.version = lambda name: 1 / 0 if name == 'eaglebench' else installed(name)\n"
        "from eaglebench.utils.provenance import collect_versions; print(collect_versions()['eaglebench'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == eaglebench.__version__


def test_a_run_has_its_scores_and_its_typed_configuration(run: Run, finished_run: Path) -> None:
    assert run.folder == finished_run
    assert run.scores is not None
    assert set(run.scores) >= {"overall", "families"}
    assert isinstance(run.config, Config)
    assert list(run.config.experts) == ["clip", "sam"]
    assert f"score {run.scores['overall']['score']:.3f}" in repr(run)


def test_a_path_an_image_and_an_array_are_the_same_question(run: Run, image: Path) -> None:
    with Image.open(image) as opened:
        opened.load()
        answers = [run.ask(one, "how many shapes") for one in (image, str(image), opened, np.asarray(opened))]
    assert len(set(answers)) == 1
    assert isinstance(answers[0], str)


def test_lists_make_a_batch_with_the_answers_of_each_alone(run: Run, image: Path) -> None:
    questions = ["how many shapes", "which shape is the largest", "what is the text"]
    alone = [run.ask(image, question) for question in questions]
    assert run.ask(image, questions) == alone
    assert run.ask([image, image], questions[0]) == [alone[0], alone[0]]
    assert run.ask([image, None, image], questions)[::2] == alone[::2]
    assert run.ask([image], [questions[0]]) == alone[:1]


def test_a_question_needs_no_image(run: Run) -> None:
    assert isinstance(run.ask(None, "how many shapes"), str)


def test_the_answers_are_those_of_the_evaluation(run: Run) -> None:
    from eaglebench.evaluation.comparison import read_answers

    rows = list(read_answers(run.folder).values())[:12]
    assert run.ask([row["image"] for row in rows], [row["question"] for row in rows]) == [
        row["prediction"] for row in rows
    ]


def test_each_expert_gives_its_map(run: Run, image: Path) -> None:
    features = run.features(image)
    assert {name: tuple(found.shape) for name, found in features.items()} == {
        "clip": (256, 4, 4),
        "sam": (256, 4, 4),
    }
    assert all(torch.isfinite(found).all() for found in features.values())
    assert not torch.equal(run.features(Image.new("RGB", (64, 64)))["clip"], features["clip"])


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ("nowhere.png", "the image nowhere.png cannot be read"),
        (np.zeros((8, 8, 3)), "an array of shape [8, 8, 3] and type float64 is no image"),
        (np.zeros((3, 8, 8, 1), dtype=np.uint8), "an array of shape [3, 8, 8, 1]"),
    ],
)
def test_what_is_no_image_is_refused(run: Run, picture: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        run.ask(picture, "how many shapes")
    assert reason in str(caught.value)


def test_two_lists_of_other_lengths_are_refused(run: Run, image: Path) -> None:
    with pytest.raises(UserError, match="2 images and 3 questions"):
        run.ask([image, image], ["a", "b", "c"])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not the folder of a finished run"):
        eaglebench.load(tmp_path)


def test_a_run_of_another_version_is_refused_by_its_name(finished_run: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "model.safetensors"):
        (tmp_path / name).write_bytes((finished_run / name).read_bytes())
    config = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(config.replace("config_version: 2\n", ""))
    (tmp_path / "manifest.json").write_text('{"versions": {"eaglebench": "0.1.0"}}')
    with pytest.raises(UserError, match=r"was written by eaglebench 0\.1\.0 \(config version 1; this one reads 2\)"):
        eaglebench.load(tmp_path)


def test_training_from_python_several_times_in_one_process(
    fast_store: list[str], finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = eaglebench.train(*fast_store)
    assert first.folder.parent == Path("results")
    assert first.scores == eaglebench.load(finished_run).scores
    second = eaglebench.train(*fast_store, "stages=[sft]", "experts=[clip]", "evaluation.blind.steps=0")
    assert list(second.config.stages) == ["sft"]
    assert second.folder != first.folder
    assert second.ask(None, "how many shapes") is not None


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["stages.sft.step=3"], "did you mean stages.sft.steps?"),
        (["fusion=nosuch"], "fusion=nosuch is unknown"),
        (["experts=[]"], "leaves nothing to see with"),
        (["task=store"], "task=store is for the command line"),
        (["trainer.devices=2"], "2 processes cannot be started from Python"),
    ],
)
def test_a_mistake_in_python_is_the_sentence_of_the_command_line(overrides: list[str], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        eaglebench.train("fast=true", *overrides)
    assert reason in str(caught.value)
