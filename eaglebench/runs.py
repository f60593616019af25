"""The run folder: the names of its files, and how its configuration is written and read. Imports nothing heavy."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import yaml

from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.files import read_json_object, write_text
from eaglebench.utils.hashing import hash_file, hash_unchanged
from eaglebench.utils.locks import exclusive

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
LMMS = "lmms"  # folder with what lmms-eval writes
EVALUATIONS = (EVALUATED, BENCHMARKED, LMMS)
SELECTION = "selection.json"  # of the folder of a selection
# Beside the run folders: those of runs that are trained anew, and what these replace, until they have.
RERUN, REPLACED = ".rerun", ".replaced"

BLIND = "blind"  # in the manifest: the label of the no-image baseline
MODEL_SHA256 = "model_sha256"  # in the manifest: the hash of MODEL
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


def is_finished(folder: Path) -> bool:
    """Whether a training wrote the whole folder."""
    return all((folder / name).is_file() for name in (MANIFEST, MODEL))


def lock_run(folder: Path, log: Callable[[str], None]) -> AbstractContextManager[None]:
    """A context in which no other process writes into a run folder; `log` is called with whom it waits for."""
    lock = folder.with_name(f".{folder.name}.lock")
    return exclusive(lock, lambda holder: log(f"{folder}: {holder} is writing it; waiting for that one"))


def rerun_folder(folder: Path) -> Path:
    """Where a finished run is trained anew."""
    return folder.parent / RERUN / folder.name


def replace_run(folder: Path) -> None:
    """Put a run that was trained anew in the place of the one before.

    Evaluations of the run before are kept if the weights are the same.
    """
    replaced = folder.parent / REPLACED / folder.name
    replaced.parent.mkdir(exist_ok=True)
    folder.rename(replaced)
    rerun_folder(folder).rename(folder)
    finish_replacing(folder)


def finish_replacing(folder: Path) -> None:
    """Finish what a crash left of `replace_run`; nothing otherwise. Called by the process that holds the lock."""
    replaced = folder.parent / REPLACED / folder.name
    if replaced.is_dir():
        if is_finished(folder):
            keep_evaluations(replaced, folder)
            shutil.rmtree(replaced)
        else:  # the new one was not yet in its place; the command has made an empty folder since
            with suppress(FileNotFoundError):
                folder.rmdir()
            replaced.rename(folder)
    shutil.rmtree(rerun_folder(folder), ignore_errors=True)  # of a training that was not finished
    for name in (RERUN, REPLACED):
        with suppress(OSError):  # others are in it
            (folder.parent / name).rmdir()


def keep_evaluations(replaced: Path, folder: Path) -> None:
    """Move the evaluations of a run that is replaced into the new one, if both have the same weights."""
    if hash_file(replaced / MODEL) == hash_file(folder / MODEL):
        for name in EVALUATIONS:
            if (replaced / name).exists() and not (folder / name).exists():
                (replaced / name).rename(folder / name)


def check_model(folder: Path) -> None:
    """Refuse a model that is not the one that the run wrote; older runs have no hash of it.

    Raises:
        UserError: its hash is not that in the manifest.
    """
    written = (read_json_object(folder / MANIFEST) or {}).get(MODEL_SHA256)
    if written is not None and written != hash_unchanged(folder / MODEL):
        raise UserError(
            f"{folder / MODEL} is not what the run wrote (its SHA-256 is not that in {MANIFEST}): copy it again from "
            "where it is whole, or train the run again."
        )


def benchmark_predictions(folder: Path) -> list[Path]:
    """The predictions of the benchmarks in a folder BENCHMARKED; those of earlier weights, which its scores lack, are
    left out.
    """
    families = (read_json_object(folder / SCORES) or {}).get("families", {})
    paths = [folder / name / PREDICTIONS for name in sorted(families)]
    return [path for path in paths if path.is_file()]
