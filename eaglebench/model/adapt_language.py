"""What a run does to a language model beside training it: LoRA, activation checkpointing, four bits a weight."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from eaglebench.language.base import LanguageModel, repeated
from eaglebench.model.adapt import add_lora, checkpoint_activations


def treated(language: LanguageModel, lora: Mapping[str, Any], activation_checkpointing: bool) -> LanguageModel:
    """The language model, its layers with adapters if `lora.rank` is not 0; the words that it reads and writes stay as they are."""
    network = language.network
    if lora["rank"]:
        add_lora(network, [network.base_model], "llm", **lora)
    if activation_checkpointing:
        # Not transformers' own, which leaves a frozen model alone.
        checkpoint_activations(network, repeated(network))
    leave_out_quantized(network)
    return language


def leave_out_quantized(network: nn.Module) -> None:
    """Keep weights of four bits out of the network's state dict: they come from their checkpoint, and nothing trains them."""
    quantized = [f"{name}.weight" for name, module in network.named_modules() if type(module).__name__ == "Linear4bit"]
    if not quantized:
        return

    def left_out(key: str) -> bool:
        return any(name in key for name in quantized)

    def save(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
        for key in [key for key in state if key.startswith(prefix) and left_out(key)]:
            del state[key]

    def load(module: nn.Module, incompatible: Any) -> None:
        incompatible.missing_keys[:] = [key for key in incompatible.missing_keys if not left_out(key)]

    network.register_state_dict_post_hook(save)
    network.register_load_state_dict_post_hook(load)
