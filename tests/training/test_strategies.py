"""Several processes train as one, whatever the strategy: the same losses and weights. Each resumes where it stopped.

Each strategy trains on two processes of a CPU, in a program of its own (`tests/helpers/distributed.py`).
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from eaglebench.training.devices import Devices
from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.module import TrainingModule
from eaglebench.training.setup import TrainingSetup
from eaglebench.training.strategies import deepspeed
from eaglebench.utils.errors import UserError
from eaglebench.utils.locks import exclusive
from tests.helpers import distributed

HYPERPARAMETERS = Hyperparameters(1, 4, None, 0.0, 0.0, (0.9, 0.99), 1.0, "stop")
ROOT = Path(__file__).parents[2]
STRATEGIES = [  # half a minute each
    pytest.param(name, marks=[] if name == "ddp" else pytest.mark.slow) for name in distributed.STRATEGIES
]


@pytest.fixture(scope="module")
def folder(shared_folder: Path) -> Path:
    made = shared_folder / "distributed"
    with exclusive(shared_folder / "distributed.lock", print):
        if not made.is_dir():
            made.mkdir()
            distributed.write_data(made, "few", images=0.5)
            distributed.write_data(made, "many", images=0.8)
    return made


@pytest.fixture(scope="module")
def results(folder: Path) -> Callable[[str], tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """Gives what a training left, by its name: losses and messages, and weights."""

    def read(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        strategy = name.partition("-")[0]
        with exclusive(folder / f"{strategy}.lock", print):  # of several processes of the suite, one trains it
            train(name, strategy)
        return json.loads((folder / f"{name}.json").read_text()), load_file(folder / f"{name}.safetensors")

    def train(name: str, strategy: str) -> None:
        if not (folder / f"{name}.json").is_file():
            if strategy == "single":
                distributed.train(folder, name.split("-")[1], name)
            else:
                train_in_processes(folder, name)

    return read


def train_in_processes(folder: Path, name: str) -> None:
    program = [sys.executable, "-m", distributed.__name__, str(folder), name]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_losses_and_weights_are_those_of_one_process(strategy: str, results: Any) -> None:
    """With a frozen expert, LoRA, activation checkpointing, and micro-batches without an image.

    In DDP and FSDP, whole batches have none, too.
    """
    alone, weights = results(f"single-{distributed.data_for(strategy)}")
    together, found = results(strategy)
    assert len(together["losses"]) == distributed.STEPS
    assert together["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_logged_is_that_of_one_process(strategy: str, results: Any) -> None:
    """Gradient norms, out of their shards, and validation; DeepSpeed has norms of fewer steps."""
    alone, together = (results(name)[0]["logged"] for name in (f"single-{distributed.data_for(strategy)}", strategy))
    assert {name for name in alone if "gradient norm" in name or "validation" in name} <= together.keys()
    for name, values in together.items():
        assert values and values.keys() <= alone[name].keys()
        assert values == pytest.approx({step: alone[name][step] for step in values}, rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_of_a_stage_is_left_for_the_next_one(strategy: str, results: Any) -> None:
    assert results(strategy)[0]["left"] == 0


@pytest.mark.slow
def test_all_processes_stop_where_one_has_a_loss_that_is_no_number(folder: Path) -> None:
    train_in_processes(folder, "ddp-broken")
    messages = {(folder / f"ddp-broken-{rank}.txt").read_text() for rank in range(2)}
    (sentence,) = messages
    assert sentence.startswith("sft: the loss is nan at step 2; lower the learning rate")
    assert re.search(r"look at the batch \((\d+, )*\d+\)", sentence)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", distributed.STRATEGIES)
def test_they_resume_where_one_of_them_received_sigterm(strategy: str, results: Any) -> None:
    unbroken, weights = results(strategy)
    resumed, found = results(f"{strategy}-resumed")
    assert resumed["printed"][0] == f"sft: resumes from step 5 of {distributed.STEPS}"
    assert resumed["losses"] == unbroken["losses"]
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [name for name in distributed.STRATEGIES if name != "ddp"])
def test_bfloat16_computes_and_float32_is_kept(strategy: str, results: Any) -> None:
    exact, weights = results(strategy)
    rounded, found = results(f"{strategy}-bf16")
    assert rounded["losses"] != exact["losses"]
    assert rounded["losses"] == pytest.approx(exact["losses"], rel=0.01)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert found.keys() == weights.keys()


def test_a_precision_that_deepspeed_has_not_is_refused() -> None:
    with pytest.raises(UserError, match="precision=16-mixed is not for DeepSpeed: choose bf16-mixed or 32-true"):
        deepspeed(Devices("cpu", "16-mixed", 2), stage=2)


@pytest.mark.parametrize(
    ("hyperparameters", "unfreeze_at", "field"),
    [(replace(HYPERPARAMETERS, nonfinite="skip"), {}, "nonfinite=skip"), (HYPERPARAMETERS, {"a": 1}, "unfreeze_at")],
)
def test_what_deepspeed_leaves_no_moment_for_is_refused(
    hyperparameters: Hyperparameters, unfreeze_at: Any, field: str
) -> None:
    network = nn.Linear(1, 1)
    setup = TrainingSetup(network, {"a": network}, {"a": 0.1}, [], list, "stages.sft", unfreeze_at=unfreeze_at)
    module = TrainingModule(setup, hyperparameters, 4, "sft", 0)
    module.trainer = SimpleNamespace(strategy=deepspeed(Devices("cpu", "32-true", 2), stage=2))
    with pytest.raises(UserError, match=f"stages.sft.{field} is not for DeepSpeed"):
        module.setup("fit")
