"""Trains one unit of a stage with Lightning."""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from eaglebench.training.batch_sampler import BatchOrder
from eaglebench.training.checkpoint_files import STATE, step_of
from eaglebench.training.checkpointing import CheckpointCallback, DirectCheckpointIO
from eaglebench.training.curves import Curves
from eaglebench.training.devices import FP32, Devices
from eaglebench.training.hyperparameters import Hyperparameters, micro_batch_size
from eaglebench.training.micro_batches import MicroBatchDataset, MicroBatchSampler
from eaglebench.training.module import TrainingModule
from eaglebench.training.progress import StageProgress
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.strategies import ddp, find_cluster_environment, release_memory
from eaglebench.training.validation import ValidationCallback, ValidationFunction
from eaglebench.utils.distributed import all_gather
from eaglebench.utils.errors import TERMINATED, UserError, first_line
from eaglebench.utils.hashing import named_seed
from eaglebench.utils.processes import start_worker
from eaglebench.utils.quoting import list_first

NAMED = 5  # samples that a message lists


class TrainingResult(NamedTuple):
    """What a training gives.

    Attributes:
        losses: of each optimizer step.
        weights: of the output parts by full name; empty in all but the main process.
        curves: all that was logged, by step.
    """

    losses: list[float]
    weights: dict[str, Tensor]
    curves: Curves


class StageTrainer:
    """Trains the units of a run's stages, one at a time.

    Args:
        lightning_arguments: of Lightning's Trainer (accelerator, devices, num_nodes, precision, deterministic ...).
        loggers: of Lightning; each unit's values are logged under its label.
        seed: of the order of samples and of dropout.
        console: where progress is shown.
        checkpoint_every: optimizer steps between checkpoints, if a training has a folder for them.
        validate_every: optimizer steps between validations, if a training has a validation function; 0: none.
        world_size: processes that train together, one for each device.
        make_strategy: gives, for the devices, how the model is spread over them; None: DDP with several processes.
        compile_blocks: compile the repeated blocks with torch. This takes minutes at first, and changes the last digits
            of results.
    """

    def __init__(
        self,
        lightning_arguments: Mapping[str, Any],
        loggers: Sequence[Logger],
        seed: int,
        console: Console,
        checkpoint_every: int = 100,
        validate_every: int = 0,
        world_size: int = 1,
        make_strategy: Callable[[Devices], Strategy] | None = None,
        compile_blocks: bool = False,
    ) -> None:
        self.lightning_arguments = dict(lightning_arguments)
        self.loggers = list(loggers)
        self.seed = seed
        self.console = console
        self.checkpoint_every = checkpoint_every
        self.validate_every = validate_every
        self.world_size = world_size
        self.make_strategy = ddp if make_strategy is None and world_size > 1 else make_strategy
        self.compile_blocks = compile_blocks
        silence_lightning()

    def train(
        self,
        setup: TrainingSetup,
        hyperparameters: Hyperparameters,
        label: str,
        workers: int,
        checkpoint_folder: Path | None = None,
        validate: ValidationFunction | None = None,
        output_parts: Sequence[str] = (),
    ) -> TrainingResult:
        """Train a network, in place unless the strategy shards its weights.

        Args:
            setup: the network, its data and learning rates.
            hyperparameters: of the optimisation.
            label: of the unit, in progress and logs.
            workers: loader processes.
            checkpoint_folder: of this training alone; it resumes from the latest checkpoint there. None: none.
            validate: called every `validate_every` steps.
            output_parts: parts whose weights are wanted.

        Raises:
            UserError: too few samples for a batch, nothing to train, a checkpoint that does not fit or cannot be
                written, NaN or Inf, or settings that Lightning refuses.
            SystemExit: a signal asked the process to stop, with the code TERMINATED. A checkpoint was written.
        """
        samples = len(setup.dataset)  # type: ignore[arg-type]
        if samples < hyperparameters.batch_size:
            raise UserError(
                f"{label}: {samples} training samples do not fill a batch of {hyperparameters.batch_size}: lower "
                f"{setup.config_path}.batch_size."
            )
        steps = hyperparameters.total_steps(samples)
        seed = named_seed(self.seed, label)
        size = micro_batch_size(
            setup.config_path, hyperparameters.batch_size, hyperparameters.micro_batch, self.world_size
        )
        if self.compile_blocks:
            for block in setup.blocks:
                block.compile()
        module = TrainingModule(setup, hyperparameters, steps, label, seed, output_parts)
        order = BatchOrder(samples, hyperparameters.batch_size, steps, seed, setup.lengths)
        checkpoints = CheckpointCallback(checkpoint_folder, self.checkpoint_every, order, self.console.print)
        # The checkpoints first: the progress fails where the terminal was closed.
        callbacks = [checkpoints, StageProgress(label, steps, self.console)]
        if validate is not None and self.validate_every:
            callbacks.append(ValidationCallback(validate, self.validate_every, self.console))
        trainer = self.build_lightning_trainer(
            max_steps=steps,
            gradient_clip_val=hyperparameters.grad_clip or None,
            callbacks=callbacks,
        )
        latest = checkpoints.find_latest(label, trainer.strategy)
        if latest is not None:
            self.console.print(f"{label}: resumes from step {step_of(latest)} of {steps}")
        sampler = MicroBatchSampler(order, size, trainer.world_size, lambda: trainer.global_rank)
        trainer.accumulate_grad_batches = sampler.per_batch
        loader: DataLoader[Any] = DataLoader(
            MicroBatchDataset(setup.dataset, setup.collate, setup.count_targets),
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            worker_init_fn=start_worker,
        )
        self.run_lightning(trainer, module, loader, checkpoints, latest)
        if len(module.losses) != steps:
            raise UserError(
                f"{label}: the trainer ended after {len(module.losses)} of {steps} steps: leave its own limits out "
                "(max_time, limit_train_batches, fast_dev_run), or set the length of the stage."
            )
        if module.skipped_steps:
            self.console.print(
                f"{label}: {module.skipped_steps} of {steps} steps were skipped, because gradients were not finite"
            )
        if cut := sorted(set().union(*all_gather(module.cut))):
            self.console.print(
                f"{label}: {len(cut)} of its samples are longer than llm.max_length, and trained on up to there "
                f"({list_first(cut, NAMED)})",
                soft_wrap=True,
            )
        return TrainingResult(module.losses, module.weights, module.curves)

    def run_lightning(
        self,
        trainer: pl.Trainer,
        module: TrainingModule,
        loader: DataLoader[Any],
        checkpoints: CheckpointCallback,
        latest: Path | None,
    ) -> None:
        """Run Lightning's loop from a checkpoint, or from the start if `latest` is None.

        Raises:
            SystemExit: a signal asked the process to stop.
            KeyboardInterrupt: of Ctrl-C.
        """
        try:
            trainer.fit(module, loader, ckpt_path=None if latest is None else latest / STATE, weights_only=True)
        except SIGTERMException as exit:
            received = (checkpoints.received or signal.SIGTERM).name
            there = f"step {trainer.global_step}" if checkpoints.folder is not None else "the start of this stage"
            self.console.print(f"{module.label}: received {received}; the same command resumes from {there}")
            raise SystemExit(TERMINATED) from exit
        except SystemExit as exit:
            if exit.code == TERMINATED:
                raise
            # Lightning turns Ctrl-C into an exit and ignores further ones; the command line has its own message for it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from exit
        finally:
            release_memory(trainer.strategy)
        if checkpoints.received:  # too late for the callback: the handler outside of the training gets it
            os.kill(os.getpid(), checkpoints.received)

    def build_lightning_trainer(self, **arguments: Any) -> pl.Trainer:
        """Lightning's Trainer for one training.

        Args:
            arguments: of Lightning's Trainer, beside those of every training.

        Raises:
            UserError: Lightning refuses the arguments.
        """
        environment = find_cluster_environment(self.world_size)
        if environment is None:
            raise RuntimeError(f"{self.world_size} processes must be started before a StageTrainer trains")
        precision = self.lightning_arguments.get("precision", FP32)
        devices = Devices(self.lightning_arguments["accelerator"], precision, self.world_size)
        try:
            return pl.Trainer(
                **self.lightning_arguments,
                **arguments,
                strategy="auto" if self.make_strategy is None else self.make_strategy(devices),
                plugins=[environment, DirectCheckpointIO()],
                max_epochs=1,
                logger=self.loggers,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
                use_distributed_sampler=False,
            )
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise UserError(f"the trainer refuses its settings: {first_line(error)}") from error


def silence_lightning() -> None:
    """Switch off Lightning's messages about devices, loader workers and settings that are right here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*treespec, LeafSpec.*",
        ".*Experiment logs directory .* exists and is not empty.*",
        ".*your dataloader is not resumable.*",  # `BatchOrder` is
        ".*find_unused_parameters=True was specified.*",
        ".*`srun` command is available.*",
        ".*Grad strides do not match bucket view strides.*",  # depthwise convolutions: one more copy
    ):
        warnings.filterwarnings("ignore", message=message)
