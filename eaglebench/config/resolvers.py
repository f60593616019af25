"""The resolvers that conf/ uses beside OmegaConf's own."""

from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eaglebench.config.identity import NOT_IDENTITY, run_digest
from eaglebench.config.schema_base import EAGLE_RELEASE


def _run_digest(*, _root_: DictConfig) -> str:
    # Field by field: run_name, which needs this digest, is not among them.
    fields = [str(key) for key in _root_ if key not in NOT_IDENTITY or key == "trainer"]
    return run_digest({key: resolve_field(_root_, key) for key in fields})


def _join(parts: Iterable[str]) -> str:
    return "+".join(str(part) for part in parts)


def _output_dir(*, _root_: DictConfig) -> str:
    # Other tasks write beside the run that they are about.
    return f"results/{_root_.run_name}" if _root_.task.name == "train" else "."


def _fast(normal: Any, fast: Any, *, _root_: DictConfig) -> Any:
    return fast if _root_.get("fast") else normal


def _release(described: Any, released: Any, *, _root_: DictConfig) -> Any:
    return released if _root_.get("compat") == EAGLE_RELEASE else described


def _world(synthetic: Any, otherwise: Any, *, _root_: DictConfig) -> Any:
    return synthetic if _root_.data.source == "synthetic" else otherwise


def _pretrained(usual: str | None, *, _parent_: DictConfig, _root_: DictConfig) -> str | None:
    given = (_root_.get("pretrained") or {}).get(_parent_._key())
    return usual if given is None else str(given)


def register_resolvers() -> None:
    """Register what an interpolation in conf/ may call.

    - `${join:LIST}`: the items with + between them;
    - `${digest:}`: the hash of the run's identity;
    - `${output_dir:}`: the folder that the command writes to;
    - `${fast:NORMAL,FAST}`: the second with fast=true;
    - `${release:DESCRIBED,RELEASED}`: the second with compat=eagle_release;
    - `${world:SYNTHETIC,OTHERWISE}`: the first with data=synthetic;
    - `${pretrained:USUAL}`, within an expert: the checkpoint that `pretrained` has for it, or else the usual one.
    """
    resolvers: dict[str, Callable[..., Any]] = {
        "join": _join,
        "digest": _run_digest,
        "output_dir": _output_dir,
        "fast": _fast,
        "release": _release,
        "world": _world,
        "pretrained": _pretrained,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def resolve_field(cfg: DictConfig, key: str) -> Any:
    """A field of a configuration as plain data, without interpolations.

    Raises:
        OmegaConfBaseException: it refers to what there is not.
    """
    value = cfg[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
