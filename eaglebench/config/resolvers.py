"""The resolvers that conf/ uses beside OmegaConf's own."""

from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eaglebench.config.identity import NOT_IDENTITY, run_digest
from eaglebench.config.schema_base import EAGLE_RELEASE


def _run_digest(*, _root_: DictConfig) -> str:
    plain = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(plain, dict)
    # The name of the run, which needs this digest, is not resolved; `presets` is what other fields refer to.
    needed = {key: value for key, value in plain.items() if key not in NOT_IDENTITY or key in ("presets", "trainer")}
    resolved = OmegaConf.to_container(
        OmegaConf.create(needed | {"pretrained": plain.get("pretrained", {})}), resolve=True
    )
    assert isinstance(resolved, dict)
    return run_digest({str(key): value for key, value in resolved.items()})


def _join(parts: Iterable[str]) -> str:
    return "+".join(str(part) for part in parts)


def _output_dir(*, _root_: DictConfig) -> str:
    # Other tasks write beside the run that they are about.
    return f"results/{_root_.run_name}" if _root_.task.name == "train" else "."


def _fast(normal: Any, fast: Any, *, _root_: DictConfig) -> Any:
    return fast if _root_.get("fast") else normal


def _release(described: Any, released: Any, *, _root_: DictConfig) -> Any:
    return released if _root_.get("compat") == EAGLE_RELEASE else described


def _pretrained(usual: str | None, *, _parent_: DictConfig, _root_: DictConfig) -> str | None:
    given = (_root_.get("pretrained") or {}).get(_parent_._key())
    return usual if given is None else str(given)


def register_resolvers() -> None:
    """Register `${join:LIST}` (with +), `${digest:}` (of the run's identity), `${output_dir:}`, `${fast:NORMAL,FAST}`
    (the second with
    fast=true), `${release:DESCRIBED,RELEASED}` (the second with compat=eagle_release), and within an expert
        `${pretrained:USUAL}` (the
    checkpoint that `pretrained` has for it, or else the usual one)."""
    resolvers: dict[str, Callable[..., Any]] = {
        "join": _join,
        "digest": _run_digest,
        "output_dir": _output_dir,
        "fast": _fast,
        "release": _release,
        "pretrained": _pretrained,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)
