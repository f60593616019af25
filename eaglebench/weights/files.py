"""Weight files: safetensors, and torch files that hold nothing but tensors."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eaglebench.utils.errors import UserError, first_line
from eaglebench.utils.temporary import temporary_file
from eaglebench.weights.misfits import copy_weights
from eaglebench.weights.wrappers import strip_wrappers

# Keys under which training code saves the state dict, one inside the other.
WRAPPERS = ("ema_state", "module", "model", "state_dict", "model_state_dict", "weights", "params")


def read_weights(path: Path, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a torch file, by key; WRAPPERS around them are removed.

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
    while isinstance(weights, dict) and (
        inner := next((weights[name] for name in WRAPPERS if isinstance(weights.get(name), dict)), None)
    ):
        weights = inner
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"the checkpoint {path} of {wanted_by} is not a dictionary of tensors.")
    return dict(weights)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, to a temporary file that is then renamed.

    Raises:
        OSError: the disk is full, cannot be written or fails; it names `path`.
    """
    with temporary_file(path) as temporary:
        try:
            # Cloned, because safetensors refuses tensors that share memory, as tied embeddings do.
            save_file({name: tensor.detach().cpu().clone() for name, tensor in weights.items()}, temporary)
        except SafetensorError as error:
            if named := re.search(r"\(os error (\d+)\)", str(error)):  # as Rust names it
                raise OSError(int(named[1]), os.strerror(int(named[1]))) from error
            raise


def load_weights(module: nn.Module, path: Path, wanted_by: str) -> None:
    """Load a file into a module; what wrappers put into its keys is taken off.

    Raises:
        UserError: the file cannot be read, or its weights do not fit the module (see `copy_weights`).
    """
    weights = strip_wrappers(read_weights(path, wanted_by), module.state_dict().keys())
    copy_weights(module, weights, f"the checkpoint {path} of {wanted_by}")


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
