"""Weight files: safetensors, and torch files that hold nothing but tensors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eaglebench.utils.errors import UserError, first_line

MAX_NAMED_KEYS = 10  # that an error lists of each kind
WRAPPERS = ("ema_state", "module", "model", "state_dict")  # keys under which training code saves the state dict


def read_weights(path: Path, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a torch file, by key; one of WRAPPERS around them is removed.

    Torch files are read with `weights_only=True`, so that no pickled code runs.

    Args:
        path: the file.
        wanted_by: the part that needs the weights, as errors name it: `experts.clip`.

    Raises:
        UserError: the file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise UserError(f"the checkpoint {path} of {wanted_by} does not exist.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Memory-mapped, as safetensors are: only the tensors that are used are read from the disk.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, IndexError) as error:
        raise UserError(f"the checkpoint {path} of {wanted_by} cannot be read ({first_line(error)}).") from error
    except Exception as error:  # torch raises pickle.UnpicklingError and others for refused contents
        raise UserError(
            f"the checkpoint {path} of {wanted_by} holds more than tensors, so it is not opened."
        ) from error
    if isinstance(weights, dict):
        weights = next((weights[name] for name in WRAPPERS if isinstance(weights.get(name), dict)), weights)
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"the checkpoint {path} of {wanted_by} is not a dictionary of tensors.")
    return dict(weights)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, to a temporary file that is then renamed."""
    temporary = path.with_name(f".{path.name}")
    # Cloned, because safetensors refuses tensors that share memory, as tied embeddings do.
    save_file({name: tensor.detach().cpu().clone() for name, tensor in weights.items()}, temporary)
    temporary.chmod(0o644)
    temporary.rename(path)


def load_weights(module: nn.Module, path: Path, wanted_by: str) -> None:
    """Load a file into a module.

    Raises:
        UserError: the file cannot be read, or its keys and shapes are not those of the module.
    """
    copy_weights(module, read_weights(path, wanted_by), f"the checkpoint {path} of {wanted_by}")


@contextmanager
def with_checkpoint_hint(owner: str) -> Iterator[None]:
    """A context that adds to a UserError about a checkpoint which overrides avoid it.

    Args:
        owner: the config node of the part that is loaded: `experts.clip` or `llm`.

    Raises:
        UserError: that of the block inside, with the hint at its end.
    """
    try:
        yield
    except UserError as error:
        raise UserError(
            f"{error} Give {owner}.checkpoint=FILE that fits, or {owner}.checkpoint=none to start from random weights."
        ) from error


def copy_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module.

    Raises:
        UserError: keys are missing, unexpected or wrongly shaped. It names `source` and the first ten of each kind.
    """
    own = module.state_dict()
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - own.keys()),
        "wrongly shaped": sorted(
            f"{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}"
            for key in own.keys() & weights.keys()
            if own[key].shape != weights[key].shape
        ),
    }
    reasons = [f"{len(keys)} {kind} ({', '.join(keys[:MAX_NAMED_KEYS])})" for kind, keys in problems.items() if keys]
    if reasons:
        raise UserError(f"{source} does not fit: {'; '.join(reasons)}.")
    module.load_state_dict(dict(weights), strict=True)
