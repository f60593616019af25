"""What names a run: every field that can change its result, and no other."""

from copy import deepcopy
from typing import Any

import pytest

from eaglebench.config.identity import run_digest, run_identity
from tests.conftest import command_of


def changed(path: str, value: Any) -> dict[str, Any]:
    config = deepcopy(dict(command_of().resolved))
    *parents, name = path.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[name] = value
    return config


@pytest.mark.parametrize(
    "path",
    ["seed", "fast", "compat", "data.limit", "data.shape", "world.seed", "stages.sft.lr.llm", "trainer.precision"],
)
def test_what_changes_a_result_changes_the_digest(path: str) -> None:
    assert run_digest(changed(path, 7)) != run_digest(command_of().resolved)


@pytest.mark.parametrize(
    "path",
    ["store", "debug", "launcher.at_once", "trainer.devices", "data.workers", "data.cache_dir", "checkpoint_every"],
)
def test_what_changes_no_result_changes_no_digest(path: str) -> None:
    assert run_digest(changed(path, 7)) == run_digest(command_of().resolved)


def test_a_class_is_known_by_its_name_wherever_it_lies() -> None:
    moved = changed("fusion._target_", "elsewhere.of.ChannelConcat")
    assert run_digest(moved) == run_digest(command_of().resolved)
    assert run_digest(changed("fusion._target_", "eaglebench.fusion.sva.Sva")) != run_digest(command_of().resolved)


def test_the_digest_is_the_end_of_the_name() -> None:
    command = command_of("seed=3")
    assert command.config.run_name.endswith(run_digest(command.resolved))
    assert "run_name" not in run_identity(command.resolved)
