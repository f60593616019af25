"""The run folder: the names of its files, and how its configuration is written and read. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_json_object, write_text

CONFIG = "config.yaml"
MANIFEST = "manifest.json"
MODEL = "model.safetensors"
METRICS = "metrics.csv"
PREDICTIONS = "predictions.jsonl"
SCORES = "scores.json"
PICTURE = "samples.png"
EVALUATED = "eval"  # folder with what task=eval writes
# folder with one for each official benchmark that the run was evaluated on, and the scores of all
BENCHMARKED = "benchmarks"
BENCHMARK_SCORES = f"{BENCHMARKED}/{SCORES}"
SELECTION = "selection.json"  # of the folder of a selection

BLIND = "blind"  # in the manifest: the label of the no-image baseline
INPUTS = "inputs"  # in the manifest: the files that the run read, and their state

# Raise it when configs of before can no longer be read.
CONFIG_VERSION = 2
VERSION_FIELD = "config_version"


def write_run_config(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Write the resolved configuration of a run."""
    versioned = {VERSION_FIELD: CONFIG_VERSION, **resolved}
    write_text(folder / CONFIG, yaml.safe_dump(versioned, sort_keys=False, allow_unicode=True))


def read_run_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run, as plain data.

    Raises:
        UserError: the folder has none, or one of another version of eaglebench.
    """
    try:
        found = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{folder / CONFIG} cannot be read: {first_line(error)}") from error
    if not isinstance(found, dict):
        raise UserError(f"{folder / CONFIG} is no configuration.")
    if reason := other_version(folder, found):
        raise UserError(reason)
    return {str(key): value for key, value in found.items() if key != VERSION_FIELD}


def other_version(folder: Path, config: Mapping[str, Any]) -> str | None:
    """Why a configuration of another version of eaglebench cannot be read, in one sentence; None if it is of this
    version.
    """
    version = config.get(VERSION_FIELD, 1)
    if version == CONFIG_VERSION:
        return None
    versions = (read_json_object(folder / MANIFEST) or {}).get("versions", {})
    written_by = f"eaglebench {versions['eaglebench']}" if "eaglebench" in versions else "another version of eaglebench"
    return (
        f"{folder} was written by {written_by} (config version {version}; this one reads {CONFIG_VERSION}): "
        "train the run again, or use that version."
    )


def check_run_folder(folder: Path) -> None:
    """Refuse a folder that is not that of a finished training.

    Raises:
        UserError: it lacks the configuration or the model.
    """
    missing = [name for name in (CONFIG, MODEL) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"run={folder} is not the folder of a finished run (no {' and no '.join(missing)} in it): "
            "give a folder that a training wrote, results/..."
        )


def benchmark_predictions(folder: Path) -> list[Path]:
    """The predictions of the benchmarks in a folder BENCHMARKED; those of earlier weights, which its scores lack, are
    left out.
    """
    families = (read_json_object(folder / SCORES) or {}).get("families", {})
    paths = [folder / name / PREDICTIONS for name in sorted(families)]
    return [path for path in paths if path.is_file()]
