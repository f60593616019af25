"""Trains a small Eagle in two processes under each strategy, and writes what came of it: `torchrun --nproc-per-node 2 several.py FOLDER`."""

import gc
import json
import os
import random
import signal
import sys
import weakref
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from PIL import Image
from rich.console import Console

from eaglebench.config.build import build_data, build_fit, build_look, build_stages, build_workshop
from eaglebench.config.schema import processes_of
from eaglebench.model.eagle import EagleModel
from eaglebench.stages.runner import Runner
from eaglebench.stages.store import Store
from eaglebench.training.strategies import Devices, environment
from eaglebench.training.trainer import Fit, Fitted
from eaglebench.utils.distributed import joined, leads
from eaglebench.utils.errors import UserError
from eaglebench.weights.files import write_weights
from tests.conftest import composed, turns

STEPS = 20
BUCKETS = ["+trainer.strategy.allgather_bucket_size=1000000", "+trainer.strategy.reduce_bucket_size=1000000"]
OFFLOAD = ["trainer.strategy.offload_optimizer=true", "trainer.strategy.offload_parameters=true"]
STRATEGIES = {
    "ddp": ["trainer=ddp"],
    "fsdp": ["trainer=fsdp"],
    "deepspeed_zero2": ["trainer=deepspeed_zero2", *BUCKETS],
    "deepspeed_zero3": ["trainer=deepspeed_zero3", *BUCKETS],
    "deepspeed_offload": ["trainer=deepspeed_zero3", *BUCKETS, *OFFLOAD],
}
# What a strategy can trip over: an expert that is frozen, one with adapters, activations computed again, pieces without an image.
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
    "checkpoints.every=10",
    "data=llava_json",
    "held_out.every=10",
    "held_out.samples=5",
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


class AskedToEnd:
    """A look at held-out samples, at which one of the processes gets SIGTERM."""

    def __call__(self, *_: Any) -> dict[str, float]:
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return {}


class Remembering(Fit):
    """Keeps losses as they are: a manifest has them rounded; and whether anything of the network is left."""

    losses: list[float]
    network: list[weakref.ref[torch.Tensor]]

    def __call__(self, training: Any, *args: Any, **kwargs: Any) -> Fitted:
        self.network = [weakref.ref(parameter) for parameter in training.network.parameters()]
        fitted = super().__call__(training, *args, **kwargs)
        self.losses = fitted.losses
        return fitted

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


def train(folder: Path, data_name: str, name: str, *words: str, look: Any = None) -> None:
    """Run one stage, and write the weights that it gives, and its losses, what was told and logged, and how many weights are left."""
    files = [f"data.train={folder / f'{data_name}.json'}", f"data.val={folder / f'{data_name}.json'}"]
    cfg = composed(*COMMON, *files, *words)
    said: list[str] = []
    console = Console(quiet=True)
    console.print = lambda line, **_: said.append(str(line))  # type: ignore[method-assign]
    logged = Logged()
    fit = build_fit(cfg, [logged], console)
    fit.__class__ = Remembering
    data, store = build_data(cfg, lambda _: None), Store(folder / f"store-{name}", said.append)
    runner = Runner(build_workshop(cfg), data, store, fit, said.append, look or build_look(cfg, data))
    state, _ = runner.run(build_stages(cfg))
    left = fit.left
    if leads():
        write_weights(folder / f"{name}.safetensors", state.weights)
        found = {"losses": fit.losses, "said": said, "logged": logged.values, "left": left}
        (folder / f"{name}.json").write_text(json.dumps(found))


def trainer(strategy: str, precision: str = "32-true") -> list[str]:
    return [*STRATEGIES[strategy], "trainer.accelerator=cpu", "trainer.devices=2", f"trainer.precision={precision}"]


def data_for(strategy: str) -> str:
    """DeepSpeed applies zero gradients where no sample of a whole batch has an image: not in its data."""
    return "many" if "deepspeed" in strategy else "few"


def broken(folder: Path, data: str, words: list[str]) -> None:
    """A training in one of whose processes the loss is not a number in the third batch; each process writes what it raises."""
    forward, batches = EagleModel.forward, []

    def breaking(model: EagleModel, batch: Any) -> torch.Tensor:
        batches.append(batch)
        loss = forward(model, batch)
        return loss * torch.nan if os.environ["RANK"] == "1" and len(batches) == 3 else loss

    EagleModel.forward = breaking  # type: ignore[method-assign]
    try:
        train(folder, data, "broken", *words)
    except UserError as error:
        (folder / f"broken-{os.environ['RANK']}.txt").write_text(str(error))
    finally:
        EagleModel.forward = forward  # type: ignore[method-assign]


def main(folder: Path, strategies: list[str]) -> None:
    torch.set_num_threads(1)
    where = environment(processes_of(composed("trainer=ddp", "trainer.devices=2")))
    assert where is not None
    with joined(where, Devices("cpu", "32-true", 2).backend):
        for strategy in strategies:
            data, words = data_for(strategy), trainer(strategy)
            train(folder, data, strategy, *words)
            try:
                train(folder, data, f"{strategy}-resumed", *words, "held_out.every=13", look=AskedToEnd())
            except SystemExit as exit:
                assert exit.code == 143
            train(folder, data, f"{strategy}-resumed", *words)
            if strategy == "ddp":
                broken(folder, data, words)
            else:
                train(folder, data, f"{strategy}-bf16", *trainer(strategy, "bf16-mixed"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
