"""Language models with adapters, with recomputed activations, and in four bits."""

import copy
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from eaglebench.config.build import build_factory
from eaglebench.language.base import LanguageModel
from eaglebench.language.pretrained import load_pretrained
from eaglebench.language.tiny import build_tiny_llama
from eaglebench.language.tokenizer import tiny_tokenizer
from eaglebench.model.adapt import adapt_language_model, lora_parameters
from eaglebench.training.parameter_groups import freeze
from eaglebench.weights.files import load_weights, write_weights
from tests.conftest import composed

LORA = {"rank": 2, "alpha": 4, "dropout": 0.0}
NONE = {"rank": 0, "alpha": 1, "dropout": 0.0}
IDS = torch.arange(24).reshape(2, 12)


def tiny() -> LanguageModel:
    torch.manual_seed(3)
    return build_tiny_llama(32, 2, 2, 64)


def loss_of(language: LanguageModel) -> torch.Tensor:
    return language.network(input_ids=IDS, labels=IDS).loss


def step(language: LanguageModel) -> None:
    freeze({"llm": language.network}, {"llm": 0.1})
    trained = [parameter for parameter in language.network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(2):  # the first step moves only one factor of an adapter: the other one starts at zero
        optimizer.zero_grad()
        loss_of(language).backward()
        optimizer.step()


def test_adapters_start_as_the_model_and_are_all_that_trains() -> None:
    before, language = tiny(), adapt_language_model(tiny(), LORA, False)
    assert torch.equal(loss_of(before), loss_of(language))
    frozen = {name: value.clone() for name, value in language.network.state_dict().items() if ".lora_" not in name}
    first = copy.deepcopy([value.detach() for value in lora_parameters(language.network)])
    step(language)
    assert all(torch.equal(language.network.state_dict()[name], value) for name, value in frozen.items())
    assert not any(torch.equal(now, then) for now, then in zip(lora_parameters(language.network), first, strict=True))
    # Two factors for each of the seven linear layers of two blocks, none for the embeddings.
    assert len(first) == 2 * 7 * 2


def test_recomputed_activations_give_the_same_gradients() -> None:
    plain, again = tiny(), adapt_language_model(tiny(), NONE, True)
    gradients = []
    for language in (plain, again):
        language.network.eval()  # as a frozen one is, where gradients only go through it
        loss_of(language).backward()
        gradients.append([parameter.grad for parameter in language.network.parameters()])
    assert {type(layer).__name__ for layer in again.network.model.layers} == {"CheckpointWrapper"}
    assert again.network.state_dict().keys() == plain.network.state_dict().keys()
    written = again.network.generate(IDS[:1], max_new_tokens=5, do_sample=False)
    assert torch.equal(written, plain.network.generate(IDS[:1], max_new_tokens=5, do_sample=False))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA with random weights and a tokenizer, as transformers saves them."""
    made = tmp_path_factory.mktemp("llama")
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4
    )
    LlamaForCausalLM(config).save_pretrained(made)
    tokenizer.save_pretrained(made)
    assert Tokenizer.from_file(str(made / "tokenizer.json"))
    return made


def test_four_bits_a_weight_train_through_adapters_and_are_not_saved(folder: Path, tmp_path: Path) -> None:
    def quantized() -> LanguageModel:
        torch.manual_seed(0)
        return adapt_language_model(load_pretrained(str(folder), "chatml", 64, quantize="4bit"), LORA, False)

    exact, language = load_pretrained(str(folder), "chatml", 64), quantized()
    before, unrounded = loss_of(language).item(), loss_of(exact).item()
    assert before == pytest.approx(unrounded, rel=0.02)
    assert before != unrounded
    step(language)
    assert loss_of(language).item() < before
    weights = language.network.state_dict()
    assert not any("base_layer.weight" in name for name in weights)
    assert all(value.dtype == torch.float32 for value in weights.values())
    write_weights(tmp_path / "trained.safetensors", weights)
    again = quantized()
    load_weights(again.network, tmp_path / "trained.safetensors", "llm")
    # On a CPU with bfloat16, bitsandbytes packs the weights of the trained model differently.
    assert loss_of(again).item() == pytest.approx(loss_of(language).item(), rel=1e-5)


def test_a_run_builds_and_plans_them(folder: Path) -> None:
    overrides = ["llm=qwen2_5_7b", f"llm.model={folder}", "llm.lora.rank=2", "llm.activation_checkpointing=true"]
    language = build_factory(composed(*overrides)).build_language_model()
    assert lora_parameters(language.network)
    assert "CheckpointWrapper" in {type(module).__name__ for module in language.network.modules()}
    planned = build_factory(composed(*overrides, "llm.quantize=4bit"), without_weights=True).build_language_model()
    assert len(lora_parameters(planned.network)) == len(lora_parameters(language.network))
