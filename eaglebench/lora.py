"""LoRA adapters of peft's, in any network."""

from collections.abc import Sequence

from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from eaglebench.errors import UserError
from eaglebench.weights import adapters

LINEAR = ("Linear", "Linear4bit")  # of torch, and bitsandbytes' with four bits a weight


def add_lora(part: nn.Module, networks: Sequence[nn.Module], name: str, rank: int, alpha: int, dropout: float) -> None:
    """Freeze the weights of `networks`, which are in `part`, and give each of their linear layers an adapter, in float32.

    The fused attention of `nn.MultiheadAttention` (open_clip's ViTs) gets none: peft 0.21 adds the product of its output adapter twice,
    and takes products off the frozen weights after each pass, which lets them drift.

    Raises:
        UserError: there is no linear layer. `name` is the part's, in messages.
    """
    for network in networks:
        linear = [path for path, module in network.named_modules() if type(module).__name__ in LINEAR]
        if linear:
            inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=linear), network
            )
    added = adapters(part)
    if not added:
        raise UserError(f"{name} has no linear layer for LoRA: leave lora.rank at 0.")
    for parameter in added:
        parameter.data = parameter.data.float()
