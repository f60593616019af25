"""Trains a small Eagle in two processes under each strategy, and writes what came of it: `torchrun --nproc-per-node 2 several.py FOLDER`."""

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console

from eaglebench.build import build_data, build_fit, build_stages, build_workshop, processes_of
from eaglebench.stages.runner import Runner
from eaglebench.stages.store import Store
from eaglebench.training.fit import Fit, Fitted
from eaglebench.training.processes import environment, joined, leads
from eaglebench.training.strategies import Devices
from eaglebench.weights import write_weights
from tests.conftest import composed, turns

STEPS = 20
BUCKETS = ["+trainer.strategy.allgather_bucket_size=1000000", "+trainer.strategy.reduce_bucket_size=1000000"]
STRATEGIES = {"ddp": [], "fsdp": [], "deepspeed_zero2": BUCKETS, "deepspeed_zero3": BUCKETS}
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
    """Keeps losses as they are: a manifest has them rounded."""

    losses: list[float]

    def __call__(self, *args: Any, **kwargs: Any) -> Fitted:
        fitted = super().__call__(*args, **kwargs)
        self.losses = fitted.losses
        return fitted


def train(folder: Path, data_name: str, name: str, *words: str, look: Any = None, every: int = 0) -> None:
    """Run one stage, and write the weights that it gives, its losses and what was told."""
    cfg = composed(*COMMON, f"data.train={folder / f'{data_name}.json'}", f"held_out.every={every}", *words)
    said: list[str] = []
    console = Console(quiet=True)
    console.print = lambda line, **_: said.append(str(line))  # type: ignore[method-assign]
    fit = build_fit(cfg, [], console)
    fit.__class__ = Remembering
    data, store = build_data(cfg, lambda _: None), Store(folder / f"store-{name}", said.append)
    state, _ = Runner(build_workshop(cfg), data, store, fit, said.append, look).run(build_stages(cfg))
    if leads():
        write_weights(folder / f"{name}.safetensors", state.weights)
        (folder / f"{name}.json").write_text(json.dumps({"losses": fit.losses, "said": said}))


def trainer(strategy: str, precision: str = "32-true") -> list[str]:
    return [f"trainer={strategy}", "trainer.accelerator=cpu", "trainer.devices=2", f"trainer.precision={precision}"]


def data_for(strategy: str) -> str:
    """DeepSpeed applies zero gradients where no sample of a whole batch has an image: not in its data."""
    return "many" if "deepspeed" in strategy else "few"


def main(folder: Path, strategies: list[str]) -> None:
    torch.set_num_threads(1)
    where = environment(processes_of(composed(*trainer("ddp"))))
    assert where is not None
    with joined(where, Devices("cpu", "32-true", 2).backend):
        for strategy in strategies:
            data, words = data_for(strategy), [*trainer(strategy), *STRATEGIES[strategy]]
            train(folder, data, strategy, *words)
            try:
                train(folder, data, f"{strategy}-resumed", *words, look=AskedToEnd(), every=13)
            except SystemExit as exit:
                assert exit.code == 143
            train(folder, data, f"{strategy}-resumed", *words)
            if strategy != "ddp":
                train(folder, data, f"{strategy}-bf16", *trainer(strategy, "bf16-mixed"), *STRATEGIES[strategy])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
