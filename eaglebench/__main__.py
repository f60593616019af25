"""`python -m eaglebench`: composes the configuration, checks it, and runs one task."""

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from eaglebench.config.command_line import explain, prepare_arguments
from eaglebench.config.compose import CONF, VERSION_BASE, options, running_command
from eaglebench.config.help import help_text
from eaglebench.config.hydra_start import prepare_hydra
from eaglebench.config.resolvers import register_resolvers
from eaglebench.config.rules import check_rules
from eaglebench.utils.errors import DISK_ERRORS, UserError, describe_disk_error
from eaglebench.utils.processes import end_with_parent

USER_ERROR = 2  # exit code
INTERRUPTED = 130
HELP = ("--help", "-h")

register_resolvers()
prepare_hydra()


@hydra.main(config_path=str(CONF), config_name="config", version_base=VERSION_BASE)
def run(cfg: DictConfig) -> None:
    """Run the task of a composed configuration. Heavy imports wait until here."""
    folder = Path(HydraConfig.get().runtime.output_dir) if cfg.task.name == "train" else None
    with report_user_errors(folder):
        command = running_command(cfg)
        check_rules(command.config, options("experts", command.search_path))
        module, _, function = command.config.task.target.rpartition(".")
        getattr(import_module(module), function)(command)


def main() -> None:
    """The command line."""
    end_with_parent()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # composition errors reach us instead of Hydra's own report
    if sys.path[0] != str(
        Path.cwd()
    ):  # a console script has its own folder there; a user's modules are found as with python -m
        sys.path.insert(0, str(Path.cwd()))
    with report_user_errors():
        if any(flag in sys.argv[1:] for flag in HELP):
            print(help_text(sys.argv[1:]))
            return
        sys.argv[1:] = prepare_arguments(sys.argv[1:])
        run()


@contextmanager
def report_user_errors(folder: Path | None = None) -> Iterator[None]:
    """A user's mistake, or a disk that fails, gives one sentence and exit code 2; with debug=true the traceback too.

    Leaves no `folder` behind that nothing was written to.

    Used inside Hydra's job as well: Hydra adds lines of its own to any exception that leaves a job, but not to an exit.
    """
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if is_debugging():
            traceback.print_exc()
        if folder is not None and folder != Path.cwd():
            with suppress(OSError):  # there is something in it, or another process was first
                folder.rmdir()
        log_mistake(str(error) if isinstance(error, UserError) else explain(error, sys.argv[1:]))
        sys.exit(USER_ERROR)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        if is_debugging():
            traceback.print_exc()
        log_mistake(describe_disk_error(error))
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        kept = (
            "nothing was kept."
            if "task=pretrain" in sys.argv
            else "the same command resumes from the last checkpoint; with store=none, from the start."
        )
        print(f"interrupted: {kept}", file=sys.stderr)
        sys.exit(INTERRUPTED)


def is_debugging() -> bool:
    """Whether tracebacks are wanted."""
    return any(argument.lower() == "debug=true" for argument in sys.argv)


def log_mistake(mistake: str) -> None:
    """Print what is wrong; of several processes that torchrun started, the first to fail writes it down for the parent
    to print.
    """
    if error_file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(error_file).write_text(json.dumps({"message": mistake, "timestamp": int(time.time())}))
    else:
        print(f"error: {mistake}", file=sys.stderr)


if __name__ == "__main__":
    main()
