"""Every field of every group refuses values of another kind, in one sentence that names it."""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from eaglebench.config.read import read_config
from eaglebench.config.schema import Config
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, FUSIONS, command_of

# Configurations that together have every group of conf/ in them.
COMMANDS: dict[str, list[str]] = {
    "train": ["stages=[pre_align,projector,sft]", "logger=[csv,wandb]", f"experts=[{','.join(EXPERTS)}]"],
    **{f"fusion={fusion}": [f"fusion={fusion}"] for fusion in FUSIONS},
    "full": ["size=full", "trainer=deepspeed_zero3", "launcher=slurm", "data.train=x.json"],
    "eagle11": ["task=eval", "run=x", "evaluation=eagle11"],
    "lmms": ["task=eval", "run=x", "evaluation=lmms_eval", "evaluation.tasks=[a]"],
    **{f"select={search}": ["task=select", f"select={search}"] for search in ("round_robin", "backward", "exhaustive")},
    **{f"bench={what}": ["task=bench", f"bench={what}"] for what in ("experts", "fusion")},
    "pretrain": ["task=pretrain", "pretrain=sam"],
    "report": ["task=report"],
    "plan": ["task=plan"],
    "store": ["task=store"],
}
# Fields whose value may be any plain data: options that are passed on, and the architecture of a language model for
# task=plan.
ANYTHING = (
    "evaluation.generate",
    "launcher.options",
    "llm.architecture",
    "stages.pre_align.projector",
    "logger.wandb.tags",
)
# Fields that may be fractions, though their value in conf/ is whole.
FRACTIONS = (".epochs", ".shapes", ".pile", ".text", ".document", ".chart")
NOT_A_NUMBER: list[Any] = ["abc", [1, 2, 3, 4], {"a": 1}, True, math.nan, math.inf]
DAMAGE: dict[type, list[Any]] = {
    int: [*NOT_A_NUMBER, 1.5],
    float: NOT_A_NUMBER,
    bool: ["abc", 3, None, [True]],
    list: ["abc", 3, {"a": 1}],
    dict: [None, 3, "abc", [1]],
}


@cache
def resolved_config(*overrides: str) -> Mapping[str, Any]:
    return command_of(*overrides).resolved


def places(node: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field and every group of a configuration."""
    for name, value in node.items():
        if ".".join((*path, name)).startswith(ANYTHING) or name == "_target_":
            continue
        yield (*path, name), value
        if isinstance(value, Mapping):
            yield from places(value, (*path, name))


@cache
def new_places(name: str) -> list[tuple[tuple[str, ...], Any]]:
    """The fields and groups of a configuration that those before it in COMMANDS do not have."""
    names = list(COMMANDS)
    seen = {path for one in names[: names.index(name)] for path, _ in places(resolved_config(*COMMANDS[one]))}
    return [place for place in places(resolved_config(*COMMANDS[name])) if place[0] not in seen]


def damage(resolved: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of a configuration in which one field has another value."""
    damaged: dict[str, Any] = deepcopy(dict(resolved))
    node = damaged
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    return damaged


def refusal(config: Mapping[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        read_config(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_value_of_another_kind_is_refused_in_every_field(name: str) -> None:
    resolved = resolved_config(*COMMANDS[name])
    for path, value in new_places(name):
        if path == ("trainer", "strategy"):
            continue  # null is a strategy, too
        for bad in DAMAGE.get(type(value), ()):
            dotted = ".".join(path)
            if bad == 1.5 and dotted.endswith(FRACTIONS):
                continue
            assert dotted in refusal(damage(resolved, path, bad)), (dotted, bad)


def test_that_is_many_fields() -> None:
    assert sum(type(value) in DAMAGE for name in COMMANDS for _, value in new_places(name)) > 250


@pytest.mark.parametrize("field", ["_partial_", "_args_", "_recursive_", "_convert_"])
@pytest.mark.parametrize("path", [("fusion",), ("trainer", "strategy")])
def test_fields_that_only_hydra_instantiates_with_are_refused(path: tuple[str, ...], field: str) -> None:
    resolved = resolved_config("trainer=fsdp")
    assert f"{'.'.join(path)}.{field} is unknown" in refusal(damage(resolved, (*path, field), True))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_field_is_refused_in_every_group(name: str) -> None:
    resolved = resolved_config(*COMMANDS[name])
    # Groups whose names the user chooses, or that a component passes on.
    open_groups = ("pretrained", "evaluation.metrics", "logger.wandb", "trainer.strategy")
    for path, value in [((), resolved), *new_places(name)]:
        dotted = ".".join(path)
        if not isinstance(value, Mapping) or dotted in open_groups or dotted in ("experts", "stages", "logger"):
            continue
        if dotted.endswith((".kinds", "mixture", "evaluation.benchmarks")):
            continue  # names of data: refused where they are read
        message = refusal(damage(resolved, (*path, "nosuch_field"), 1))
        assert f"{dotted}.nosuch_field".lstrip(".") in message


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("stages.sft.steps", 0, "a whole number above 0 or null"),
        ("stages.sft.steps", -3, "a whole number above 0 or null"),
        ("stages.sft.steps", 1.5, "a whole number above 0 or null"),
        ("stages.sft.epochs", 0, "a number above 0 or null"),
        ("stages.sft.batch_size", 0, "a whole number above 0"),
        ("stages.sft.batch_size", None, "a whole number above 0"),
        ("stages.sft.warmup", -1, "a number from 0 to 1"),
        ("stages.sft.warmup", 2, "a number from 0 to 1"),
        ("stages.sft.warmup", None, "a number from 0 to 1"),
        ("stages.sft.weight_decay", -1, "a number of at least 0"),
        ("stages.sft.weight_decay", None, "a number of at least 0"),
        ("stages.sft.betas", [1], "a list of 2 numbers from 0 to below 1"),
        ("stages.sft.betas", [0.9, 1.5], "a list of 2 numbers from 0 to below 1"),
        ("stages.sft.betas", None, "a list of 2 numbers from 0 to below 1"),
        ("stages.sft.grad_clip", -1, "a number of at least 0"),
        ("stages.sft.nonfinite", "perhaps", "one of stop, skip"),
        ("stages.sft.lr.llm", -1e-4, "a number of at least 0"),
        ("stages.sft.unfreeze_at.llm", -1, "a whole number of at least 0"),
        ("data.limit", -3, "a whole number above 0 or null"),
        ("data.max_bad", -1, "a whole number of at least 0"),
        ("data.max_pixels", 0, "a whole number above 0"),
        ("data.shape", "round", "one of pad, squash, crop"),
        ("data.workers", -1, "a whole number of at least 0"),
        ("data.workers", 0.5, "a whole number of at least 0"),
        ("world.mixture.text", -1, "a number of at least 0"),
        ("experts.clip.lr", -1, "a number of at least 0 or null"),
        ("experts.clip.lora.rank", 1.5, "a whole number of at least 0"),
        ("experts.clip.lora.dropout", 1.0, "a number from 0 to below 1"),
        ("experts.clip.layer_decay", 0, "a number above 0 to 1"),
        ("experts.clip.image_size", 0, "a whole number above 0"),
        ("experts.clip.high_res", "crop", "one of interpolate, tile"),
        ("fusion.grid", 0, "a whole number above 0 or null"),
        ("fusion.shrink", "nosuch", "one of antialias, unshuffle"),
        ("trainer.devices", 0, "a whole number above 0"),
        ("trainer.devices", [0, 1], "a list of"),
        ("trainer.precision", "64", "one of 32-true, bf16-mixed, 16-mixed"),
        ("checkpoint_every", 0, "a whole number above 0"),
        ("validation.every", -1, "a whole number of at least 0"),
        ("evaluation.batch_size", 0, "a whole number above 0"),
        ("seed", -1, "a whole number of at least 0"),
        ("size", "huge", "one of tiny, full"),
        ("compat", "eagle", "eagle_release or null"),
    ],
)
def test_numbers_out_of_range_and_unknown_choices_are_refused_with_what_would_do(
    field: str, value: Any, reason: str
) -> None:
    message = refusal(damage(resolved_config(), tuple(field.split(".")), value))
    assert message.startswith(f"{field}=")
    assert reason in message


@pytest.mark.parametrize(
    "group",
    ["experts.clip", "experts.clip.lora", "stages.projector", "stages.sft.lr", "evaluation.blind", "data", "fusion"],
)
def test_a_group_cannot_be_replaced_by_null(group: str) -> None:
    message = refusal(damage(resolved_config(), tuple(group.split(".")), None))
    assert message.startswith(f"{group}=null would replace a group of fields: set one of them, as in {group}.")


def test_what_size_chooses_between_and_hydras_settings_are_not_configuration() -> None:
    resolved = resolved_config()
    assert "presets" not in resolved
    assert "hydra" not in resolved
    assert set(Config.model_fields) >= set(resolved)
