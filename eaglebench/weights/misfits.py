"""What of a checkpoint does not fit a module: keys, shapes, types and values."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from eaglebench.utils.errors import UserError

MAX_NAMED_KEYS = 10  # that an error lists of each kind


def copy_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module.

    A linear layer and a convolution of 1 x 1 are the same map: either takes the weights of the other.

    Raises:
        UserError: keys are missing or unexpected, shapes differ, whole numbers or booleans stand for weights, or
            numbers are not finite. It names `source` and the first ten of each kind.
    """
    own = module.state_dict()
    weights = {
        key: tensor.view_as(own[key]) if key in own and is_same_map(tensor, own[key]) else tensor
        for key, tensor in weights.items()
    }
    raise_misfits(find_misfits(own, weights), source)
    module.load_state_dict(dict(weights), strict=True)


def is_same_map(tensor: Tensor, own: Tensor) -> bool:
    """Whether two weights of other shapes are those of a linear layer and of a convolution of 1 x 1."""
    few, many = sorted((tensor.shape, own.shape), key=len)
    return len(few) == 2 and len(many) == 4 and many == (*few, 1, 1)


def raise_misfits(misfits: Mapping[str, Collection[str]], source: str) -> None:
    """Refuse weights with misfits.

    Args:
        misfits: by kind, the keys or what is to be said of each.
        source: names the weights.

    Raises:
        UserError: there is one; the first ten of each kind are named.
    """
    reasons = [
        f"{len(keys)} {kind} ({', '.join(sorted(keys)[:MAX_NAMED_KEYS])})" for kind, keys in misfits.items() if keys
    ]
    if reasons:
        raise UserError(f"{source} does not fit: {'; '.join(reasons)}.")


def find_misfits(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """What of some weights does not fit a module's own state dict, by kind."""
    shared = own.keys() & weights.keys()
    return {
        "missing": list(own.keys() - weights.keys()),
        "unexpected": list(weights.keys() - own.keys()),
        "wrongly shaped": [
            f"{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}"
            for key in shared
            if own[key].shape != weights[key].shape
        ],
        "not of floating point": find_not_floating({key: weights[key] for key in shared}, own),
        # A part may have numbers that are not finite itself, such as the mask of an attention.
        "not finite": [
            key for key in shared if not is_finite(weights[key]) and (own[key].is_meta or is_finite(own[key]))
        ],
    }


def find_not_floating(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Keys and types of weights that are whole numbers or booleans where the module's own are not."""
    return [
        f"{key} {str(tensor.dtype).removeprefix('torch.')}"
        for key, tensor in weights.items()
        if not tensor.is_floating_point() and (key not in own or own[key].is_floating_point())
    ]


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor an infinity. One pass over it; the tensor is not copied."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.dtype.itemsize == 1:  # eight bits have no minimum in torch
        tensor = tensor.float()
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor))
