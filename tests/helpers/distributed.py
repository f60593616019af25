"""Trains a small Eagle in two processes under each strategy, and writes losses, weights and messages into a folder.

`python -m tests.helpers.distributed FOLDER NAME`, where NAME is a strategy, or a strategy with -resumed, -bf16 or
-broken. It imports everything once, which takes longer than a training, and forks the two processes off, with the
environment that torchrun gives.
"""

import gc
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from PIL import Image
from rich.console import Console

from eaglebench.config.build import build_factory, build_stages, build_trainer
from eaglebench.config.build_data import build_data, build_validator
from eaglebench.model.eagle import EagleModel
from eaglebench.stages.runner import Runner
from eaglebench.stages.store import Store
from eaglebench.training.devices import Devices
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.strategies import find_cluster_environment
from eaglebench.training.trainer import StageTrainer, TrainingResult
from eaglebench.utils.distributed import is_main_process, process_group
from eaglebench.utils.errors import TERMINATED, UserError
from eaglebench.weights.files import write_weights
from tests.conftest import composed, turns

STEPS = 6
BUCKETS = ["+trainer.strategy.allgather_bucket_size=1000000", "+trainer.strategy.reduce_bucket_size=1000000"]
OFFLOAD = ["trainer.strategy.offload_optimizer=true", "trainer.strategy.offload_parameters=true"]
STRATEGIES = {
    "ddp": ["trainer=ddp"],
    "fsdp": ["trainer=fsdp"],
    "deepspeed_zero2": ["trainer=deepspeed_zero2", *BUCKETS],
    "deepspeed_zero3": ["trainer=deepspeed_zero3", *BUCKETS],
    "deepspeed_offload": ["trainer=deepspeed_zero3", *BUCKETS, *OFFLOAD],
}
# What a strategy can trip over: an expert that is frozen, one with adapters, recomputed activations, micro-batches
# without an image.
COMMON = [
    "experts=[clip,sam,convnext]",
    "experts.clip.frozen=true",
    "experts.sam.lora.rank=2",
    "experts.convnext.activation_checkpointing=true",
    "stages=[sft]",
    "stages.sft.batch_size=8",
    "stages.sft.micro_batch=2",
    f"stages.sft.steps={STEPS}",
    "stages.sft.lr={experts: 1e-4, fusion: 1e-4, llm: 1e-4}",
    "checkpoint_every=3",
    "data=llava_json",
    "validation.every=3",
    "validation.samples=3",
    "evaluation.max_new_tokens=4",
]


def write_data(folder: Path, name: str, images: float) -> None:
    """Two dozen samples, and how many of them have an image."""
    draw, records = random.Random(0), []
    for number in range(24):
        record: dict[str, Any] = {"id": str(number), "conversations": turns("what colour is it?", f"number {number}")}
        if draw.random() < images:
            Image.new("RGB", (64, 64), (10 * number, 99, 30)).save(folder / f"{number}.png")
            record |= {
                "image": f"{number}.png",
                "conversations": turns("<image>\nwhat colour is it?", f"number {number}"),
            }
        records.append(record)
    (folder / f"{name}.json").write_text(json.dumps(records))


class Sigterm:
    """A validation during which one of the processes receives SIGTERM."""

    def __call__(self, *_: Any) -> dict[str, float]:
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return {}


class RememberingTrainer(StageTrainer):
    """Keeps losses as they are: a manifest has them rounded; and whether anything of the network is left."""

    losses: list[float]
    network: list[weakref.ref[torch.Tensor]]

    def train(self, setup: TrainingSetup, *args: Any, **kwargs: Any) -> TrainingResult:
        self.network = [weakref.ref(parameter) for parameter in setup.network.parameters()]
        result = super().train(setup, *args, **kwargs)
        self.losses = result.losses
        return result

    @property
    def left(self) -> int:
        """Weights of the network that was trained that are still in memory."""
        gc.collect()
        return sum(parameter() is not None for parameter in self.network)


class Logged(Logger):
    """Keeps what is logged: values by name and step."""

    name, version = "logged", "0"

    def __init__(self) -> None:
        self.values: dict[str, dict[int, float]] = {}

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.values.setdefault(name, {})[step or 0] = value


def train(folder: Path, data_name: str, name: str, *overrides: str, validator: Any = None) -> None:
    """Run one stage; write its weights, its losses, what was printed and logged, and how many weights are left."""
    files = [f"data.train={folder / f'{data_name}.json'}", f"data.val={folder / f'{data_name}.json'}"]
    cfg = composed(*COMMON, *files, *overrides)
    printed: list[str] = []
    console = Console(quiet=True)
    console.print = lambda line, **_: printed.append(str(line))  # type: ignore[method-assign]
    logged = Logged()
    trainer = build_trainer(cfg, [logged], console)
    trainer.__class__ = RememberingTrainer
    data, store = build_data(cfg, lambda _: None), Store(folder / f"store-{name}", printed.append)
    runner = Runner(build_factory(cfg), data, store, trainer, printed.append, validator or build_validator(cfg, data))
    trained, _ = runner.run(build_stages(cfg))
    left = trainer.left
    if is_main_process():
        write_weights(folder / f"{name}.safetensors", trained.weights)
        found = {"losses": trainer.losses, "printed": printed, "logged": logged.values, "left": left}
        (folder / f"{name}.json").write_text(json.dumps(found))


def trainer_overrides(strategy: str, precision: str = "32-true") -> list[str]:
    return [*STRATEGIES[strategy], "trainer.accelerator=cpu", "trainer.devices=2", f"trainer.precision={precision}"]


def data_for(strategy: str) -> str:
    """DeepSpeed applies zero gradients where no sample of a whole batch has an image: not in its data."""
    return "many" if "deepspeed" in strategy else "few"


def train_broken(folder: Path, data: str, name: str, overrides: list[str]) -> None:
    """A training in one of whose processes the loss of the third batch is NaN; each process writes what it raises."""
    forward, batches = EagleModel.forward, []

    def breaking(model: EagleModel, batch: Any) -> torch.Tensor:
        batches.append(batch)
        loss = forward(model, batch)
        return loss * torch.nan if os.environ["RANK"] == "1" and len(batches) == 3 else loss

    EagleModel.forward = breaking  # type: ignore[method-assign]
    try:
        train(folder, data, name, *overrides)
    except UserError as error:
        (folder / f"{name}-{os.environ['RANK']}.txt").write_text(str(error))
    finally:
        EagleModel.forward = forward  # type: ignore[method-assign]


def train_resumed(folder: Path, data: str, name: str, overrides: list[str]) -> None:
    """A training in which one process receives SIGTERM, and the one that goes on from there."""
    try:
        train(folder, data, name, *overrides, "validation.every=4", validator=Sigterm())
    except SystemExit as exit:
        assert exit.code == TERMINATED
    train(folder, data, name, *overrides)


def main(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    where = find_cluster_environment(composed("trainer=ddp", "trainer.devices=2").trainer.processes)
    assert where is not None
    with process_group(where, Devices("cpu", "32-true", 2).backend):
        strategy, _, kind = name.partition("-")
        data, overrides = data_for(strategy), trainer_overrides(strategy, "bf16-mixed" if kind == "bf16" else "32-true")
        if kind == "resumed":
            train_resumed(folder, data, name, overrides)
        elif kind == "broken":
            train_broken(folder, data, name, overrides)
        else:
            train(folder, data, name, *overrides)


def start(rank: int, port: int) -> None:
    """What each process does, as torchrun would start it."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    main(Path(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=start, args=(rank, port)) for rank in range(2)]
    for process in processes:
        process.start()
    while all(process.is_alive() for process in processes):
        time.sleep(0.1)
    for process in processes:  # where one has failed, the other one would wait for it
        process.join(5 if any(one.exitcode for one in processes) else None)
        process.kill()
    sys.exit(max(abs(process.exitcode or 0) for process in processes))
