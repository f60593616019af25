"""Commands are composed from what is read once, and know nothing of each other."""

import os
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from eaglebench.config.compose import compose_command
from eaglebench.config.hydra_cache import loaded


def test_a_file_is_read_once() -> None:
    compose_command(["seed=3"])
    before = dict(loaded)
    compose_command(["seed=4"])
    assert loaded == before
    assert all(loaded[key] is entry for key, entry in before.items())


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    def seed() -> int:
        return compose_command(["experiment=mine"], search_path=[f"file://{tmp_path}"]).config.seed

    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    for number in (3, 4, 12):
        file.write_text(f"# @package _global_\nseed: {number}\n")
        os.utime(file, ns=(number, number))
        assert seed() == number
    file.unlink()
    with pytest.raises(HydraException, match="mine"):
        seed()


def test_a_command_leaves_nothing_for_the_next() -> None:
    usual = compose_command([]).resolved
    compose_command(["experts=[sam]", "~stages.projector", "stages.sft.steps=3", "evaluation.metrics.x=anls"])
    assert compose_command([]).resolved == usual


def test_folders_with_the_same_names_are_kept_apart(tmp_path: Path) -> None:
    seeds = []
    for number in (5, 6):
        file = tmp_path / str(number) / "experiment" / "mine.yaml"
        file.parent.mkdir(parents=True)
        OmegaConf.save({"seed": number}, file)
        file.write_text(f"# @package _global_\n{file.read_text()}")
        os.utime(file, ns=(1, 1))
        seeds.append(compose_command(["experiment=mine"], search_path=[f"file://{file.parents[1]}"]).config.seed)
    assert seeds == [5, 6]
