"""task=plan says what each unit that trains will need."""

from collections.abc import Callable

import pytest

from eaglebench.profiling.estimate.sharding import sharding_of
from tests.conftest import Outcome, composed


def test_every_unit_has_a_row_the_blind_model_too(command: Callable[..., Outcome]) -> None:
    outcome = command("task=plan", "debug=fast")
    assert outcome.code == 0, outcome.err
    for label in ("pre_align/sam", "projector", "sft", "blind"):
        assert outcome.out.count(f"│ {label} ") == 2, label


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["trainer=ddp"], set()),
        (["trainer=fsdp"], {"weights", "gradients", "optimizer", "rest_is_whole"}),
        (["trainer=deepspeed_zero2"], {"gradients", "optimizer"}),
        (
            ["trainer=deepspeed_zero2", "trainer.strategy.offload_optimizer=true"],
            {"gradients", "optimizer", "optimizer_away"},
        ),
        (
            ["trainer=deepspeed_zero3", "trainer.strategy.offload_parameters=true"],
            {"weights", "gradients", "optimizer", "weights_away"},
        ),
    ],
)
def test_what_a_strategy_keeps_elsewhere(words: list[str], kept: set[str]) -> None:
    found = sharding_of(composed(*words, "trainer.devices=2"))
    assert {name for name, there in vars(found).items() if there} == kept
