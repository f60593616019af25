"""`python -m eaglebench`: composes the config and runs one task."""

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

from eaglebench.config.compose import CONF, TASKS, validate_overrides
from eaglebench.config.resolvers import register_resolvers
from eaglebench.config.schema import validate
from eaglebench.utils.errors import UserError

USER_ERROR = 2  # exit code
INTERRUPTED = 130

register_resolvers()


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def run(cfg: DictConfig) -> None:
    """Run the task of a composed config. Heavy imports wait until here."""
    folder = Path(HydraConfig.get().runtime.output_dir) if cfg.task == "train" else None
    with mistakes_told(folder):
        validate(cfg)
        module, _, function = TASKS[cfg.task].rpartition(".")
        getattr(import_module(module), function)(cfg)


def main() -> None:
    """The command line."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # composition errors reach us instead of Hydra's own report
    with mistakes_told():
        validate_overrides(sys.argv[1:])
        run()


@contextmanager
def mistakes_told(folder: Path | None = None) -> Iterator[None]:
    """A user's mistake gives one sentence and exit code 2; with debug=true the traceback too.

    Leaves no `folder` behind that nothing was written to.

    Used inside Hydra's job as well: Hydra adds lines of its own to any exception that leaves a job, but not to an exit.
    """
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if any(word.lower() == "debug=true" for word in sys.argv):
            traceback.print_exc()
        if folder is not None and folder != Path.cwd():
            with suppress(OSError):  # there is something in it, or another process was first
                folder.rmdir()
        tell(sentence(error))
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        kept = (
            "nothing was kept."
            if "task=pretrain" in sys.argv
            else "the same command goes on from the last checkpoint; with store=none, from the start."
        )
        print(f"interrupted: {kept}", file=sys.stderr)
        sys.exit(INTERRUPTED)


def tell(mistake: str) -> None:
    """Say what is wrong; of several processes that torchrun started, it tells what the first to fail wrote down."""
    if told := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(told).write_text(json.dumps({"message": mistake, "timestamp": int(time.time())}))
    else:
        print(f"error: {mistake}", file=sys.stderr)


def sentence(error: BaseException) -> str:
    """The error in one line: OmegaConf's and Hydra's further lines are about their own objects."""
    if isinstance(error, UserError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    if cause is not None and isinstance(cause, OmegaConfBaseException):
        lines.append(str(cause).splitlines()[0])
    return " ".join(lines[:2])


if __name__ == "__main__":
    main()
