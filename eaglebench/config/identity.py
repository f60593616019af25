"""What of a configuration can change the result of a run: the identity that names its folder and groups its seeds in a
report.
"""

from collections.abc import Mapping
from typing import Any

from eaglebench.utils.hashing import hash_json, without_module_paths

# What does not change the result of a run.
NOT_IDENTITY = (
    "config_version",
    "hydra",
    "presets",
    "run_name",
    "task",
    "rerun",
    "run",
    "runs",
    "image",
    "prompt",
    "store",
    "logger",
    "trainer",
    "launcher",
    "debug",
    "plugins",
    "report",
    "pretrain",
    "bench",
    "select",
    "compare",
    "sweep",
    "plan",
    "convert",
    "pretrained",  # resolved into the checkpoints of the experts that the run has
    "checkpoint_every",
    "validation",
    "prune",
)
TRAINER_IDENTITY = ("precision", "deterministic", "compile")  # what changes a result in more than its last digits
NOT_IDENTITY_FIELDS = {
    "data": ("cache_mb", "cache_dir", "workers"),
    "evaluation": ("overlong",),  # it decides whether there is a result
}
DIGEST_LENGTH = 6


def run_identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resolved configuration, as plain data, can change the result of a run."""
    kept = {str(key): value for key, value in config.items() if key not in NOT_IDENTITY}
    for group, keys in NOT_IDENTITY_FIELDS.items():
        kept[group] = {key: value for key, value in kept[group].items() if key not in keys}
    kept["trainer"] = {key: config["trainer"].get(key) for key in TRAINER_IDENTITY}
    return kept


def run_digest(config: Mapping[str, Any]) -> str:
    """The short hash of a run's identity that its name ends with."""
    return hash_json(without_module_paths(run_identity(config)), DIGEST_LENGTH)
