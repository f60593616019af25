"""Precision, LoRA and activation checkpointing change how an expert is stored and trained, not what it computes."""

import pytest
import torch

from eaglebench.config.build import build_factory
from eaglebench.config.compose import compose_command
from eaglebench.experts.base import VisionExpert
from eaglebench.training.parameter_groups import build_parameter_groups, freeze
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, composed


def build(name: str, *overrides: str) -> VisionExpert:
    return build_factory(composed(f"experts=[{name}]", *(f"experts.{name}.{one}" for one in overrides))).build_expert(
        name
    )


def features(expert: VisionExpert) -> torch.Tensor:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return expert(expert.preprocess(images))


@pytest.mark.parametrize("name", EXPERTS)
def test_bfloat16_is_close_and_gives_float32(name: str) -> None:
    half = build(name, "dtype=bfloat16").eval()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        given, expected = features(half), features(build(name).eval())
    assert given.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(given.flatten(), expected.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("name", EXPERTS)
def test_checkpointed_activations_give_the_same_gradients(name: str) -> None:
    gradients = []
    for value in ("false", "true"):
        expert = build(name, f"activation_checkpointing={value}").train()
        ran: list[int] = []
        for block in expert.blocks():
            inner = getattr(block, "_checkpoint_wrapped_module", block)
            inner.register_forward_pre_hook(lambda *_, ran=ran: ran.append(1))
        features(expert).square().sum().backward()
        assert len(ran) == len(expert.blocks()) * (2 if value == "true" else 1)
        gradients.append(
            {key.replace("_checkpoint_wrapped_module.", ""): p.grad for key, p in expert.named_parameters()}
        )
        assert expert.state_dict().keys() == build(name).state_dict().keys()
    plain, checkpointed = gradients
    assert plain.keys() == checkpointed.keys()
    for key, gradient in plain.items():
        torch.testing.assert_close(checkpointed[key], gradient, msg=key)


@pytest.mark.parametrize("name", EXPERTS)
def test_lora_starts_as_the_expert_and_trains_nothing_but_adapters(name: str) -> None:
    expert = build(name, "lora.rank=4").eval()
    with torch.no_grad():
        torch.testing.assert_close(features(expert), features(build(name).eval()))
    freeze({"expert": expert}, {"expert": 0.01})
    groups = build_parameter_groups({"expert": expert}, {"expert": 0.01}, 0.0)
    trained = {key for key, parameter in expert.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(".lora_" in key for key in trained)
    assert sum(p.numel() for group in groups for p in group["params"]) < 0.5 * sum(
        p.numel() for p in expert.parameters()
    )
    features(expert).square().sum().backward()
    torch.optim.SGD(groups, lr=0.01).step()
    with torch.no_grad():
        assert not torch.allclose(features(expert), features(build(name).eval()))


def test_adapters_of_half_precision_weights_are_float32() -> None:
    expert = build("clip", "lora.rank=4", "dtype=bfloat16")
    dtypes = {".lora_" in key: parameter.dtype for key, parameter in expert.named_parameters()}
    assert dtypes == {False: torch.bfloat16, True: torch.float32}
    features(expert).sum().backward()
    assert any(parameter.grad is not None for key, parameter in expert.named_parameters() if ".lora_" in key)


def test_a_frozen_part_trains_no_adapter() -> None:
    expert = build("clip", "lora.rank=4")
    freeze({"expert": expert}, {"expert": 0.0})
    assert build_parameter_groups({"expert": expert}, {"expert": 0.0}, 0.0) == []
    assert not any(parameter.requires_grad for parameter in expert.parameters())


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dtype=float8", "must be one of float32, bfloat16, float16"),
        ("high_res=both", "must be one of interpolate, tile"),
        ("lora.rank=few", r"experts\.clip\.lora\.rank=few must be a whole number of at least 0"),
        ("lr=fast", r"experts\.clip\.lr=fast must be a number of at least 0"),
        ("lr=-1", r"experts\.clip\.lr=-1 must be a number of at least 0"),
        ("lora.rank=-1", "must be a whole number of at least 0"),
        ("lora.dropout=2", "must be a number from 0 to below 1"),
        ("dtype=bfloat16", "a precision too low to train in"),
    ],
)
def test_what_cannot_be_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        compose_command(["experts=[clip]", f"experts.clip.{override}"])
