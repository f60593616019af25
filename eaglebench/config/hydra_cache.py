"""Composing many commands in one process: a file is read once, and an expression parsed once.

Hydra itself does both anew for each command, which is more than half of the time that it takes. A selection composes a
command for each set of experts, a sweep for each point.
"""

from copy import deepcopy
from functools import cache, lru_cache
from pathlib import Path

import omegaconf._utils
import omegaconf.base
import omegaconf.grammar_parser
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

FILES = "file"  # the scheme of configs in a folder
EXPRESSIONS = 4096  # parsed ones that are kept

Stamp = tuple[int, int] | None  # time and size of a file; None for what Hydra brings with it

load_config = ConfigRepository.load_config
loaded: dict[tuple[str, str], tuple[Stamp, ConfigResult | None]] = {}  # by source and name


def load_config_once(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """As Hydra's, but a file that has not changed is not read again."""
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    if source is None or (source.scheme() != FILES and source.provider != "hydra"):
        return load_config(self, config_path)
    key, stamp = (source.path, config_path), read_stamp(source, config_path)
    if key not in loaded or loaded[key][0] != stamp:
        loaded[key] = stamp, load_config(self, config_path)
    return deepcopy(loaded[key][1])  # which is changed while a command is composed


def read_stamp(source: ConfigSource, config_path: str) -> Stamp:
    """What changes with the file of a config."""
    if source.scheme() != FILES:
        return None
    status = Path(source.path, source._normalize_file_name(config_path)).stat()
    return status.st_mtime_ns, status.st_size


@cache
def keep_what_is_read() -> None:
    """From here on, Hydra and OmegaConf read and parse once."""
    ConfigRepository.load_config = load_config_once  # type: ignore[method-assign]
    parse = lru_cache(EXPRESSIONS)(omegaconf.grammar_parser.parse)
    for module in (omegaconf.base, omegaconf._utils):
        module.parse = parse  # type: ignore[attr-defined]
