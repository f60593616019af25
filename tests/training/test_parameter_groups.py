"""What trains, how fast, and what decays."""

import pytest
from torch import nn

from eaglebench.config.build import build_factory
from eaglebench.training.parameter_groups import LayerDecay, build_parameter_groups, freeze
from tests.conftest import EXPERTS, composed


def test_only_matrices_decay_and_frozen_parts_have_no_group() -> None:
    parts = {"a": nn.Linear(2, 3), "b": nn.LayerNorm(3), "c": nn.Linear(3, 1)}
    rates = {"a": 0.1, "b": 0.2, "c": 0.0}
    freeze(parts, rates)
    groups = build_parameter_groups(parts, rates, weight_decay=0.5)
    found = [(group["name"], group["lr"], group["weight_decay"], len(group["params"])) for group in groups]
    assert found == [("a", 0.1, 0.5, 1), ("a, no decay", 0.1, 0.0, 1), ("b, no decay", 0.2, 0.0, 2)]
    assert not any(parameter.requires_grad for parameter in parts["c"].parameters())


@pytest.mark.parametrize("name", EXPERTS)
def test_learning_rates_fall_from_the_last_block_to_the_first(name: str) -> None:
    expert = build_factory(composed(f"experts=[{name}]")).build_untrained_expert(name)
    blocks = expert.blocks()
    groups = build_parameter_groups({"it": expert}, {"it": 0.1}, 0.0, {"it": LayerDecay(0.5, blocks)})
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(expert.parameters()))
    for number, block in enumerate(blocks, 1):
        assert {rates[id(p)] for p in block.parameters()} == {0.1 * 0.5 ** (len(blocks) + 1 - number)}
    order = [rates[id(p)] for p in expert.parameters()]
    assert order == sorted(
        order
    )  # as they are registered: the stem, the blocks, with what lies between them, what follows
    assert order[0] == 0.1 * 0.5 ** (len(blocks) + 1)
