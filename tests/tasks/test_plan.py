"""task=plan estimates what each unit that trains needs."""

from collections.abc import Callable

import pytest

from eaglebench.config.compose import compose_command
from eaglebench.profiling.estimate.sharding import describe_strategy, read_sharding
from tests.conftest import Outcome


def test_every_unit_has_a_row_the_blind_model_too(command: Callable[..., Outcome]) -> None:
    outcome = command("task=plan", "fast=true", "experts=[sam]")
    assert outcome.code == 0, outcome.err
    for label in ("pre_align/sam", "projector", "sft", "blind"):
        assert outcome.out.count(f"│ {label} ") == 2, label


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        (["trainer=ddp"], set()),
        (["trainer=fsdp"], {"weights", "gradients", "optimizer", "gathers_rest"}),
        (["trainer=deepspeed_zero2"], {"gradients", "optimizer"}),
        (
            ["trainer=deepspeed_zero2", "trainer.strategy.offload_optimizer=true"],
            {"gradients", "optimizer", "optimizer_on_cpu"},
        ),
        (
            ["trainer=deepspeed_zero3", "trainer.strategy.offload_parameters=true"],
            {"weights", "gradients", "optimizer", "weights_on_cpu"},
        ),
    ],
)
def test_what_a_strategy_keeps_in_shards_or_on_the_cpu(overrides: list[str], kept: set[str]) -> None:
    trainer = compose_command([*overrides, "trainer.devices=2"]).config.trainer
    found = read_sharding(trainer)
    assert {name for name, there in vars(found).items() if there} == kept


@pytest.mark.parametrize(
    ("overrides", "description"),
    [
        ([], "32-true"),
        (["trainer.devices=2"], "ddp"),
        (["trainer=fsdp", "trainer.devices=2"], "fsdp"),
        (["trainer=deepspeed_zero3", "trainer.devices=2"], "deepspeed 3"),
    ],
)
def test_a_strategy_is_described(overrides: list[str], description: str) -> None:
    assert describe_strategy(compose_command(overrides).config.trainer) == description
