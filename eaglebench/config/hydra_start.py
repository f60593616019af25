"""How Hydra starts a command here: it composes it once, and builds nothing that a file could have slipped in.

Hydra itself composes each command twice, the first time only to read `hydra.mode`; that is a quarter of the time until
a mistake is answered.
"""

from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from eaglebench.config.compose import declares_plugins
from eaglebench.config.targets import check_logging, check_settings, check_targets

read_mode = Hydra.get_mode
load_configuration = ConfigLoaderImpl.load_configuration


def read_mode_and_keep(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """As `Hydra.get_mode`, but a run on its own takes the configuration that is composed here."""
    compose = self.compose_config
    try:
        cfg = compose(config_name=config_name, overrides=overrides, run_mode=RunMode.RUN, with_log_configuration=True)
    except ConfigCompositionException as error:
        if "--multirun" not in str(error):  # a mistake, and not the values of a sweep
            raise
        return read_mode(self, config_name, overrides)

    def compose_config(*, run_mode: RunMode, **rest: Any) -> DictConfig:
        return cfg if run_mode == RunMode.RUN else compose(run_mode=run_mode, **rest)

    self.compose_config = compose_config  # type: ignore[assignment, method-assign]
    return cfg.hydra.mode


def load_checked(
    self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *rest: Any, **more: Any
) -> DictConfig:
    """As Hydra's, but its own settings name only what is Hydra's, Python's logging, or declared by the user: a recipe
    can set callbacks and loggers, which Hydra would build. Where it writes is for the user to say, too.

    Raises:
        UserError: they name something else, or a file says where.
    """
    cfg = load_configuration(self, config_name, overrides, *rest, **more)
    hydra = OmegaConf.to_container(cfg.hydra, resolve=False)
    assert isinstance(hydra, dict)
    settings = {str(key): value for key, value in hydra.items()}
    plugins = OmegaConf.select(cfg, "plugins") if declares_plugins(overrides) else ()
    check_targets({"hydra": settings}, plugins or ())
    check_logging(settings)
    check_settings(settings, overrides)
    return cfg


def prepare_hydra() -> None:
    """From here on, `hydra.main` composes a run once, and checks what it would build."""
    Hydra.get_mode = read_mode_and_keep  # type: ignore[method-assign]
    ConfigLoaderImpl.load_configuration = load_checked  # type: ignore[method-assign]
