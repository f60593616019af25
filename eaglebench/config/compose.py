"""Composes the configuration of a command from conf/, and from a user's own folders beside it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from eaglebench.config.hydra_cache import keep_what_is_read
from eaglebench.config.messages import set_by_file
from eaglebench.config.read import UNTYPED, check_missing, read_config
from eaglebench.config.resolvers import register_resolvers, resolve_field
from eaglebench.config.rules import check_rules
from eaglebench.config.schema import Config
from eaglebench.utils.errors import UserError, first_line

PACKAGE = Path(__file__).resolve().parents[1]
# Beside the package in a checkout, inside it in a wheel.
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if (folder / "config.yaml").is_file())
VERSION_BASE = "1.3"  # of Hydra
# Fields whose names the user chooses: `pretrained.sam=FILE` needs no +.
OPEN = ("pretrained.", "evaluation.metrics.", "evaluation.benchmarks.")
HIDDEN_GROUPS = ("defaults",)  # what other files begin with; no choices


@dataclass(frozen=True)
class Command:
    """One command with its configuration.

    Attributes:
        config: the typed configuration.
        resolved: the same as plain data, as it is written into a run folder.
        overrides: what the user set; Hydra's own settings are not among them.
        folder: the folder that a training writes its run into.
        search_path: where Hydra looks for configs beside conf/, as in `file://FOLDER` or `pkg://mine.conf`.
    """

    config: Config
    resolved: Mapping[str, Any]
    overrides: tuple[str, ...]
    folder: Path
    search_path: tuple[str, ...] = ()

    def compose(self, overrides: Sequence[str]) -> "Command":
        """Another command of the same search path.

        Raises:
            UserError: the overrides give no configuration that can work.
        """
        try:
            return compose_command(overrides, search_path=self.search_path)
        except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError, too, is Hydra's
            raise UserError(first_line(error)) from error

    def arguments(self, overrides: Sequence[str], folder: Path) -> list[str]:
        """The arguments of `python -m eaglebench` that run these overrides, of the same search path, into a run
        folder.
        """
        return [*overrides, *search_path_override(self.search_path), f"hydra.run.dir='{folder}'"]


def compose_command(
    overrides: Sequence[str], folder: Path | None = None, search_path: Sequence[str] = (), check: bool = True
) -> Command:
    """The command that `python -m eaglebench OVERRIDES` would run.

    Args:
        folder: of the run; None: results/ and its name.
        check: refuse what cannot work (see `check_rules`), too.

    Raises:
        UserError: a field is unknown, or not what it must be.
        HydraException: an override or a choice that Hydra refuses.
    """
    overrides = [open_field(override) for override in overrides]
    with hydra_initialized():
        cfg = compose("config", [*overrides, *search_path_override(search_path)])
    command = command_of(cfg, overrides, folder, search_path)
    if check:
        check_rules(command.config, options("experts", search_path))
    return command


def open_field(override: str) -> str:
    """An override of a field that the user names, as Hydra takes it: added if it is not there."""
    return f"++{override}" if override.startswith(OPEN) else override


def command_of(
    cfg: DictConfig, overrides: Sequence[str], folder: Path | None = None, search_path: Sequence[str] = ()
) -> Command:
    """The command of a composed configuration.

    Raises:
        UserError: a field that must be given is not, or a field is not what it must be.
    """
    unresolved = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(unresolved, dict)
    check_missing({str(key): value for key, value in unresolved.items() if key not in UNTYPED})
    plain = {str(key): resolve_field(cfg, str(key)) for key in cfg if key not in UNTYPED}
    check_plugins(plain["plugins"], overrides)
    config = read_config(plain, plain["plugins"])
    where = Path("results") / config.run_name if folder is None else folder
    return Command(config, plain, tuple(overrides), where, tuple(search_path))


def check_plugins(plugins: Any, overrides: Sequence[str]) -> None:
    """Refuse modules that a file declares: whose classes are built is for the user alone to say.

    Raises:
        UserError: as above, or `plugins` is no list of modules.
    """
    if not isinstance(plugins, list) or not all(isinstance(one, str) and one for one in plugins):
        raise UserError(f"plugins={plugins} must be a list of modules, as in 'plugins=[mine]'.")
    if plugins and not declares_plugins(overrides):
        raise UserError(set_by_file("plugins", plugins))


def declares_plugins(overrides: Sequence[str]) -> bool:
    """Whether the user names modules of their own, and no file."""
    return any(override.startswith("plugins=") for override in overrides)


def running_command(cfg: DictConfig) -> Command:
    """The command that Hydra is running now."""
    hydra = HydraConfig.get()
    search_path = tuple(
        f"{source.schema}://{source.path}"
        for source in hydra.runtime.config_sources
        if source.provider not in ("hydra", "main", "schema")
    )
    return command_of(cfg, hydra.overrides.task, Path(hydra.runtime.output_dir), search_path)


@contextmanager
def hydra_initialized() -> Iterator[None]:
    """Within it, Hydra composes from conf/; what it was initialized with before is left as it was."""
    register_resolvers()
    keep_what_is_read()
    running = GlobalHydra.instance().hydra  # of the command line; Hydra refuses to be initialized twice
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
            yield
    finally:
        GlobalHydra.instance().hydra = running


def search_path_override(search_path: Sequence[str]) -> list[str]:
    """The override that gives Hydra folders beside conf/; none for none."""
    return [f"hydra.searchpath=[{','.join(repr(one) for one in search_path)}]"] if search_path else []


def options(group: str, search_path: Sequence[str] = ()) -> list[str]:
    """The choices of a config group."""
    return sorted({path.stem for folder in folders(search_path) for path in (folder / group).glob("*.yaml")})


def groups(search_path: Sequence[str] = ()) -> list[str]:
    """The config groups."""
    found = {path.name for folder in folders(search_path) for path in folder.glob("*/") if any(path.glob("*.yaml"))}
    return sorted(found - set(HIDDEN_GROUPS))


def folders(search_path: Sequence[str] = ()) -> list[Path]:
    """conf/ and the folders of a search path, those of packages too."""
    found = [CONF]
    for one in search_path:
        scheme, separator, path = one.rpartition("://")
        if separator and scheme == "pkg":
            spec = find_spec(path.replace("/", "."))
            found += [Path(place) for place in (spec.submodule_search_locations or () if spec else ())]
        else:
            found.append(Path(path))
    return found


def group_file(group: str, name: str, search_path: Sequence[str] = ()) -> Path:
    """The YAML of a choice."""
    return next(path for folder in folders(search_path) if (path := folder / group / f"{name}.yaml").is_file())


def read_yaml(path: Path) -> Any:
    """The contents of a YAML file, read as the files of conf/ are: `1e-3` is a number.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no YAML.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(first_line(error)) from error
