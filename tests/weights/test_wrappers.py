"""Wrappers' names are taken off keys where the keys then are those of the part, and left alone otherwise."""

import pytest

from eaglebench.weights.wrappers import strip_wrappers

OWN = {"stem.weight", "blocks.0.weight", "blocks.1.weight", "norm.bias"}


def named(*keys: str) -> dict[str, int]:
    return {key: number for number, key in enumerate(keys)}


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "base_model.model.", "any.name.at.all."])
def test_what_stands_before_the_parts_keys_is_taken_off(prefix: str) -> None:
    assert strip_wrappers(named(*(prefix + key for key in sorted(OWN))), OWN) == named(*sorted(OWN))


def test_names_inside_are_taken_off_with_those_before() -> None:
    keys = ("module.stem.weight", "module.blocks.0._orig_mod.weight", "module.blocks.1.weight", "module.norm.bias")
    assert strip_wrappers(named(*keys), OWN).keys() == OWN


def test_a_key_that_is_missing_stays_missing_and_the_others_are_stripped() -> None:
    assert strip_wrappers(named("module.stem.weight", "module.blocks.0.weight", "module.head.weight"), OWN) == named(
        "stem.weight", "blocks.0.weight", "head.weight"
    )


@pytest.mark.parametrize(
    "keys",
    [
        ("stem.weight", "blocks.0.weight", "blocks.1.weight", "module.norm.bias"),  # most fit as they are
        ("module.norm.bias", "other.weight"),  # less than half would fit
        ("module.stem.weight", "module.blocks.0.weight", "module.norm.bias", "stem.weight"),  # two would become one
        ("a.weight", "b.weight"),  # of something else
    ],
)
def test_keys_that_would_fit_no_better_are_left_alone(keys: tuple[str, ...]) -> None:
    assert strip_wrappers(named(*keys), OWN) == named(*keys)


def test_of_two_copies_one_is_left_over() -> None:
    """A teacher and a student: the keys that are left are refused as unexpected."""
    keys = [f"{name}.{key}" for name in ("student", "teacher") for key in sorted(OWN)]
    left = strip_wrappers(named(*keys), OWN).keys() - OWN
    assert len(left) == len(OWN)


def test_a_prefix_of_the_part_itself_is_kept() -> None:
    own = {"model.a.weight", "model.b.weight", "lm_head.weight"}
    assert strip_wrappers(named("model.model.a.weight", "model.model.b.weight", "model.lm_head.weight"), own) == named(
        "model.a.weight", "model.b.weight", "lm_head.weight"
    )
