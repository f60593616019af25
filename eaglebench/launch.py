"""Where a run happens: in this process, in one process for each device, or in a SLURM job. The same command in all of them."""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from eaglebench.build import processes_of
from eaglebench.errors import UserError
from eaglebench.training.fit import TERMINATED
from eaglebench.training.processes import environment

SHUTDOWN = "120"  # seconds that processes have to write a checkpoint once they are asked to end


def elsewhere(cfg: DictConfig) -> bool:
    """Run what `cfg` says in processes of its own if it wants them; False if it is to be run in this one.

    Raises:
        SystemExit: the processes ended with another code than 0.
        UserError: they are not this command's to start.
    """
    count = processes_of(cfg)
    if environment(count) is not None:
        return False
    if cfg.trainer.nodes > 1:
        raise UserError(
            f"trainer.nodes={cfg.trainer.nodes} needs a process for each device of each node: use launcher=slurm, srun, or torchrun."
        )
    start(count, words())
    return True


def words() -> list[str]:
    """The words of the command line that give this run; of a multirun, this run's own."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    given = [word for word in hydra.overrides.task if not word.startswith("launcher")]
    return [*given, f"hydra.run.dir='{folder}'"]


def start(count: int, arguments: Sequence[str]) -> None:
    """Run `python -m eaglebench` in so many processes that train together, and wait for them."""
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SHUTDOWN)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # failures are told here
    try:
        elastic_launch(config, sys.executable)("-m", "eaglebench", *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.error_file_data.get("timestamp"):  # written by `mistakes_told`; of others there is a traceback
            print(f"error: {failure.message}", file=sys.stderr)
        sys.exit(failure.exitcode)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        sys.exit(TERMINATED)
