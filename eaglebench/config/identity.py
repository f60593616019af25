"""TODO."""

from collections.abc import Mapping
from typing import Any

# What does not change the result of a run, and so not its name.
UNNAMED = (
    "hydra",
    "run_name",
    "task",
    "run",
    "image",
    "prompt",
    "store",
    "logger",
    "trainer",
    "launcher",
    "debug",
    "report",
    "pretrain",
    "bench",
    "select",
    "compare",
    "sweep",
    "plan",
    "convert",
    "weights",
    "checkpoints",
    "held_out",
    "prune",
)

NAMED_TRAINER = ("precision", "deterministic", "compile")  # what changes a result in more than its last digits

UNNAMED_FIELDS = {"world": ("root",), "data": ("cache_mb", "workers")}

DIGEST_LENGTH = 6


def named(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config can change the result of a run."""
    kept = {str(key): value for key, value in config.items() if key not in UNNAMED}
    for group, keys in UNNAMED_FIELDS.items():
        kept[group] = {key: value for key, value in kept[group].items() if key not in keys}
    kept["trainer"] = {key: config["trainer"].get(key) for key in NAMED_TRAINER}
    kept["fast"] = config.get("debug") == "fast"
    # Those of experts that the run has.
    weights = {name: file for name, file in config.get("weights", {}).items() if name in config["experts"]}
    return kept | {"weights": {name: file for name, file in weights.items() if file is not None}}
