"""Hashes of configs stay the same when a class moves to another module."""

from eaglebench.utils.hashing import hash_json, without_module_paths


def config(module: str) -> dict[str, object]:
    return {
        "_target_": f"{module}.Joint",
        "projector": {"_target_": f"{module}.inner.ChannelConcat", "grid": 4},
        "kinds": [{"_target_": f"{module}.Overlap"}, 1.5, None, "a.b.c"],
    }


def test_every_target_is_cut_down_to_its_class_name() -> None:
    assert without_module_paths(config("eaglebench.stages")) == {
        "_target_": "Joint",
        "projector": {"_target_": "ChannelConcat", "grid": 4},
        "kinds": [{"_target_": "Overlap"}, 1.5, None, "a.b.c"],
    }


def test_a_module_that_moves_changes_no_hash() -> None:
    old, new = (hash_json(without_module_paths(config(module)), 16) for module in ("eaglebench.old", "other.place.new"))
    assert old == new


def test_a_config_without_targets_is_left_as_it_is() -> None:
    assert without_module_paths({"steps": 3, "lr": {"llm": 0.1}, "none": None}) == {
        "steps": 3,
        "lr": {"llm": 0.1},
        "none": None,
    }
