"""The files that a run reads, and their state: a name says little where files change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eaglebench.config.schema import Config, EvaluationConfig
from eaglebench.config.schema_base import optional_path
from eaglebench.utils.hashing import hash_file, hash_unchanged
from eaglebench.weights.hub import is_hub_name, read_cached_commit
from eaglebench.zoo.shipped import SHIPPED, ZOO


def input_fingerprints(config: Config) -> dict[str, Any]:
    """The state of each local file that the configuration names and that exists, by its name there.

    Of questions and answers the SHA-256; of weights, which are large, names, sizes and times.
    """
    found: dict[str, Any] = {}
    for name in data_files(config):
        path = Path(name)
        if path.is_file():
            found[name] = hash_unchanged(path)
    for checkpoint in (
        *(expert.checkpoint for expert in config.experts.values()),
        config.llm.checkpoint,
        config.llm.model,
    ):
        # What ships with the package is the same for all runs.
        weights = None if checkpoint == ZOO else optional_path(checkpoint)
        if weights is not None and weights.exists():
            found[str(checkpoint)] = file_state(weights)
    return found


def data_files(config: Config) -> Iterator[str]:
    """The names of the files of questions and answers."""
    of_stages = [stage.data for stage in config.stages.values()]
    evaluation = config.evaluation
    of_benchmarks = evaluation.benchmarks.values() if isinstance(evaluation, EvaluationConfig) else ()
    return (file for file in (config.data.train, config.data.val, *of_stages, *of_benchmarks) if file)


def file_state(path: Path | None) -> list[str] | None:
    """Names, sizes and times of a local file, or of a folder's files: a changed checkpoint is another one.

    What ships with the package is known by its hash, wherever and whenever it was installed; what the hub has, by its
    commit.
    """
    if path is None:
        return None
    if is_hub_name(str(path)):
        return [f"{path} {read_cached_commit(str(path))}"]
    if path.parent == SHIPPED:
        return [path.name, hash_file(path)]
    folder = path.parent if path.suffix == ".json" else path  # an index, whose shards lie beside it
    files = sorted(folder.iterdir()) if folder.is_dir() else [path]
    return [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file()] or [
        str(path)
    ]
