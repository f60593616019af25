"""Composing many commands in one process: a file is read once, and an expression parsed once.

Hydra itself does both anew for each command, which is more than half of the time that it takes. A selection composes a
command for each set of experts, a sweep for each point.
"""

import pickle
from functools import cache, lru_cache
from pathlib import Path

import hydra._internal.defaults_list as hydra_defaults
import omegaconf._utils
import omegaconf.base
import omegaconf.grammar_parser
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import Overrides
from hydra.core.default_element import InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

FILES = "file"  # the scheme of configs in a folder
EXPRESSIONS = 4096  # parsed ones that are kept

Stamp = tuple[int, int] | None  # time and size of a file; None for what Hydra brings with it

load_config = ConfigRepository.load_config
create_interpolation_map = hydra_defaults._create_interpolation_map
# By source and name. As bytes, which never leave the process: a copy is made of them sooner than by `deepcopy`.
loaded: dict[tuple[str, str], tuple[Stamp, bytes]] = {}


def load_config_once(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """As Hydra's, but a file that has not changed is not read again."""
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    if source is None or (source.scheme() != FILES and source.provider != "hydra"):
        return load_config(self, config_path)
    key, stamp = (source.path, config_path), read_stamp(source, config_path)
    if key not in loaded or loaded[key][0] != stamp:
        loaded[key] = stamp, pickle.dumps(load_config(self, config_path))
    result: ConfigResult | None = pickle.loads(loaded[key][1])  # a copy: it is changed while a command is composed
    return result


def read_stamp(source: ConfigSource, config_path: str) -> Stamp:
    """What changes with the file of a config."""
    if source.scheme() != FILES:
        return None
    status = Path(source.path, source._normalize_file_name(config_path)).stat()
    return status.st_mtime_ns, status.st_size


def create_map_if_used(overrides: Overrides, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
    """As Hydra's, but empty for a defaults list in which nothing refers to it."""
    if any(default.is_interpolation() for default in defaults_list if not default.is_self()):
        return create_interpolation_map(overrides, defaults_list, self_added)
    return OmegaConf.create()


@cache
def keep_what_is_read() -> None:
    """From here on, Hydra and OmegaConf read and parse once."""
    ConfigRepository.load_config = load_config_once  # type: ignore[method-assign]
    hydra_defaults._create_interpolation_map = create_map_if_used
    parse = lru_cache(EXPRESSIONS)(omegaconf.grammar_parser.parse)
    for module in (omegaconf.base, omegaconf._utils):
        module.parse = parse  # type: ignore[attr-defined]
