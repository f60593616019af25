"""The files that a run reads, and what they hold: a name says little where files change."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eaglebench.config.schema import optional_path
from eaglebench.utils.hashing import hash_file
from eaglebench.weights.sources import is_hub_name, read_cached_commit
from eaglebench.zoo.cards import SHIPPED, ZOO

INPUTS = "inputs"  # in the manifest of a run


def input_states(cfg: DictConfig) -> dict[str, Any]:
    """The state of each local file that the config names, by that name, of those that are there: the SHA-256 of questions and answers; of
    weights, which are large, names, sizes and times."""
    found: dict[str, Any] = {}
    for name in data_files(cfg):
        path = Path(name)
        if path.is_file():
            stat = path.stat()
            found[name] = remembered(path.resolve(), stat.st_size, stat.st_mtime_ns)
    for name in (
        *(expert.checkpoint for expert in cfg.experts.values()),
        cfg.llm.get("checkpoint"),
        cfg.llm.get("model"),
    ):
        weights = None if name == ZOO else optional_path(name)  # what ships with the package is the same for all runs
        if weights is not None and weights.exists():
            found[str(name)] = file_state(weights)
    return found


def data_files(cfg: DictConfig) -> Iterator[str]:
    """The names of the files of questions and answers."""
    of_data = [cfg.data[key] for key in ("train", "val") if key in cfg.data and not OmegaConf.is_missing(cfg.data, key)]
    of_stages = [stage.train for stage in cfg.stages.values()]
    of_benchmarks = (cfg.evaluation.get("benchmarks") or {}).values()
    return (str(file) for file in (*of_data, *of_stages, *of_benchmarks) if file is not None)


@cache
def remembered(path: Path, size: int, changed: int) -> str:
    """The digest of a file, which is read again when its size or time has changed: many runs read the same ones."""
    return hash_file(path)


def file_state(path: Path | None) -> list[str] | None:
    """Names, sizes and times of a local file, or of a folder's files: a changed checkpoint is another one.

    What ships with the package is known by its digest, wherever and whenever it was installed; what the hub has, by its commit.
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
