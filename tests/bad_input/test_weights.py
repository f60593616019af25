"""Checkpoints that are not what they seem: what is read all the same, and what a user is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from eaglebench.config.build import build_factory, load_trained_model
from eaglebench.experts.base import VisionExpert
from eaglebench.language.tiny import build_tiny_llama
from eaglebench.runs import MANIFEST, MODEL, MODEL_SHA256
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file
from eaglebench.weights.files import load_weights, write_weights
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.sources import read_checkpoint
from tests.conftest import EXPERTS, composed
from tests.helpers.upstream.base import randomise
from tests.helpers.upstream.cases import CASES
from tests.helpers.upstream.clip import build_clip

Weights = dict[str, Tensor]
FIRST = {name: next(case for case in CASES if case.startswith(f"{name}:")) for name in EXPERTS}  # one format of each


def read_case(name: str, folder: Path) -> tuple[VisionExpert, Weights]:
    """The expert of an upstream case, and the weights of its checkpoint."""
    torch.manual_seed(0)
    case = CASES[name](folder)
    return case.expert.double(), read_checkpoint(case.checkpoint, "the test")


def load_first_case(name: str, folder: Path) -> tuple[VisionExpert, Weights, Weights]:
    """An expert with the weights of its first upstream format, those weights, and a copy of its own state."""
    expert, weights = read_case(FIRST[name], folder)
    expert.load_upstream(weights)
    return expert, weights, {key: tensor.clone() for key, tensor in expert.state_dict().items()}


# Wrappers


def prefixed(prefix: str) -> Callable[[Weights], Any]:
    return lambda weights: {prefix + key: tensor for key, tensor in weights.items()}


WRAPPERS = {
    "DataParallel": prefixed("module."),
    "torch.compile": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "Lightning": prefixed("model."),
    "PEFT, merged": prefixed("base_model.model."),
    "a tower of LLaVA": prefixed("model.vision_tower.vision_tower."),
    "a wrapper of no known name": prefixed("student.backbone."),
    "nested dictionaries": lambda weights: {"state_dict": {"model": weights}, "epoch": 3},
    "nested, with prefixes": lambda weights: {"module": {"state_dict": prefixed("module.model.")(weights)}},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", EXPERTS)
def test_what_wrappers_leave_is_taken_off_in_every_expert(name: str, wrapper: str, tmp_path: Path) -> None:
    expert, weights, expected = load_first_case(name, tmp_path / "plain")
    randomise(expert)
    torch.save(WRAPPERS[wrapper](weights), tmp_path / "wrapped.pth")
    expert.load_checkpoint(tmp_path / "wrapped.pth", "the test")
    assert all(torch.equal(tensor, expected[key]) for key, tensor in expert.state_dict().items())


def test_wrappers_inside_the_model_are_taken_off(tmp_path: Path) -> None:
    """Of torch.compile, FSDP and activation checkpointing, around single blocks."""
    expert, weights = read_case("clip: transformers", tmp_path / "plain")
    inner = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
    expert.load_upstream({key.replace("layers.1", f"layers.1.{'.'.join(inner)}"): weights[key] for key in weights})


@pytest.mark.parametrize("wrapper", ["", "module.", "module._orig_mod."])
def test_own_weights_are_read_under_wrappers(wrapper: str, tmp_path: Path) -> None:
    source, expert = randomise(build_clip()), build_clip().double()
    write_weights(tmp_path / "own.safetensors", prefixed(wrapper)(source.state_dict()))
    expert.load_checkpoint(tmp_path / "own.safetensors", "the test")
    assert torch.equal(expert.network.embeddings.class_embedding, source.network.embeddings.class_embedding)


def test_the_tiny_language_model_is_read_under_wrappers(tmp_path: Path) -> None:
    sizes = {"width": 32, "depth": 1, "heads": 2, "mlp_width": 32}
    first = build_tiny_llama(**sizes).network
    write_weights(tmp_path / "llm.safetensors", prefixed("module.")(first.state_dict()))
    second = build_tiny_llama(**sizes, checkpoint=tmp_path / "llm.safetensors").network
    assert torch.equal(second.model.norm.weight, first.model.norm.weight)
    assert torch.equal(second.lm_head.weight, first.lm_head.weight)


# Weights that do not fit

NOT_FITTING: dict[str, tuple[Callable[[str, Tensor], Weights], str]] = {
    "a key is missing": (lambda key, tensor: {}, "1 missing"),
    "a key too many": (lambda key, tensor: {key: tensor, "network.surplus": tensor}, r"1 unexpected \(network.surplus"),
    "another shape": (lambda key, tensor: {key: torch.cat([tensor, tensor])}, "1 wrongly shaped"),
    "whole numbers": (lambda key, tensor: {key: tensor.long()}, r"1 not of floating point \(.* int64\)"),
    "bytes": (lambda key, tensor: {key: tensor.to(torch.uint8)}, r"1 not of floating point \(.* uint8\)"),
    "booleans": (lambda key, tensor: {key: tensor > 0}, r"1 not of floating point \(.* bool\)"),
    "complex numbers": (lambda key, tensor: {key: tensor.to(torch.complex64)}, r"1 not of floating point \(.* complex"),
    "not a number": (lambda key, tensor: {key: tensor * torch.nan}, "1 not finite"),
    "infinite": (lambda key, tensor: {key: tensor.index_fill(0, torch.tensor([0]), -torch.inf)}, "1 not finite"),
}


@pytest.mark.parametrize("fault", NOT_FITTING)
@pytest.mark.parametrize("name", EXPERTS)
def test_weights_of_experts_that_do_not_fit_stop_with_their_names(name: str, fault: str, tmp_path: Path) -> None:
    expert, _, own = load_first_case(name, tmp_path / "plain")
    key = [key for key, tensor in own.items() if tensor.ndim == 1][-1]
    change, sentence = NOT_FITTING[fault]
    damaged = {name: tensor for name, tensor in own.items() if name != key} | change(key, own[key])
    torch.save(damaged, tmp_path / "damaged.pth")
    with pytest.raises(UserError, match=f"the checkpoint .* of experts.{name} does not fit: {sentence}"):
        expert.load_checkpoint(tmp_path / "damaged.pth", f"experts.{name}")


def test_whole_numbers_where_the_part_has_them_are_fine() -> None:
    norm = torch.nn.BatchNorm1d(2)
    assert norm.state_dict()["num_batches_tracked"].dtype == torch.int64
    other = torch.nn.BatchNorm1d(2)
    load = {key: tensor.clone() for key, tensor in norm.state_dict().items()} | {"num_batches_tracked": torch.tensor(7)}
    copy_weights(other, load, "the test")
    assert other.num_batches_tracked == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_weights_of_any_precision_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    weights = {key: torch.ones_like(tensor).to(dtype) for key, tensor in torch.nn.Linear(3, 2).state_dict().items()}
    torch.save(weights, tmp_path / "weights.pth")
    layer = torch.nn.Linear(3, 2)
    load_weights(layer, tmp_path / "weights.pth", "the test")
    assert torch.equal(layer.weight, torch.ones(2, 3))
    torch.save(weights | {"bias": (weights["bias"].float() * torch.nan).to(dtype)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"1 not finite \(bias\)"):
        load_weights(layer, tmp_path / "weights.pth", "the test")


# A run's model


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The model and the manifest of a run whose model has random weights."""
    config = composed("experts=[clip]", "experts.clip.checkpoint=none", "llm.checkpoint=none")
    factory = build_factory(config)
    model, _ = factory.build_model(factory.experts)
    write_weights(tmp_path / MODEL, model.state_dict())
    write_json(tmp_path / MANIFEST, {MODEL_SHA256: hash_file(tmp_path / MODEL)})
    return tmp_path


def load_run_model(folder: Path) -> None:
    load_trained_model(composed("experts=[clip]", "experts.clip.checkpoint=none", "llm.checkpoint=none"), folder)


def test_a_flipped_bit_in_a_runs_model_is_seen(run_folder: Path) -> None:
    load_run_model(run_folder)
    content = bytearray((run_folder / MODEL).read_bytes())
    content[-5] ^= 1
    (run_folder / MODEL).write_bytes(content)
    with pytest.raises(UserError, match=r"model.safetensors is not what the run wrote \(its SHA-256"):
        load_run_model(run_folder)


def test_a_runs_model_that_holds_nan_is_refused(run_folder: Path) -> None:
    weights = load_file(run_folder / MODEL)
    key = next(key for key in weights if key.endswith("norm.weight"))
    write_weights(run_folder / MODEL, weights | {key: weights[key] * torch.nan})
    write_json(run_folder / MANIFEST, {})  # of a version that wrote no hash
    with pytest.raises(UserError, match=f"run=.* does not fit: 1 not finite .{key}"):
        load_run_model(run_folder)
