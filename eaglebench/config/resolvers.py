"""TODO."""

from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from eaglebench.config.identity import DIGEST_LENGTH, named
from eaglebench.utils.hashing import digest

EAGLE_RELEASE = "eagle_release"


def _run_digest(*, _root_: DictConfig) -> str:
    config = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(config, dict)
    return digest(named({str(key): value for key, value in config.items()}), DIGEST_LENGTH)


def _join(parts: Iterable[str]) -> str:
    return "+".join(str(part) for part in parts)


def _output_dir(*, _root_: DictConfig) -> str:
    # Other tasks write beside the run that they are about.
    return f"results/{_root_.run_name}" if _root_.get("task") == "train" else "."


def _quick(normal: Any, fast: Any, *, _root_: DictConfig) -> Any:
    return fast if _root_.get("debug") == "fast" else normal


def _release(described: Any, released: Any, *, _root_: DictConfig) -> Any:
    return released if _root_.get("compat") == EAGLE_RELEASE else described


def _weights_of(usual: str | None, *, _parent_: DictConfig, _root_: DictConfig) -> str | None:
    """`${weights_of:USUAL}` within an expert: the checkpoint that `weights` has for it, or the usual one."""
    given = _root_.get("weights", {}).get(_parent_._key())
    return usual if given is None else str(given)


def register_resolvers() -> None:
    """`${join:}`, `${digest:}`, `${output_dir:}`, `${quick:NORMAL,FAST}` (the second with debug=fast),
    `${release:DESCRIBED,RELEASED}` (the second with compat=eagle_release), and `${weights_of:USUAL}` (within an expert)."""
    resolvers: dict[str, Callable[..., Any]] = {
        "join": _join,
        "digest": _run_digest,
        "output_dir": _output_dir,
        "quick": _quick,
        "release": _release,
        "weights_of": _weights_of,
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)
