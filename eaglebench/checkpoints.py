"""Checkpoints as people have them: a file, a folder, sharded or not, or a name on the Hugging Face hub."""

import json
import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor

from eaglebench.errors import UserError
from eaglebench.weights import read_weights

# What a folder's weights may be called, the safer ones first.
NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
SAFE = ("*.safetensors", "*.safetensors.index.json")
TORCH = ("pytorch_model*.bin", "pytorch_model*.bin.index.json", "open_clip_pytorch_model.bin", "*.pth", "*.pt")
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".json")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def is_hub_name(value: str) -> bool:
    """Whether a checkpoint that is no path here can be a repository on the hub (`owner/name`, `owner/name@revision`)."""
    return not Path(value).exists() and HUB_NAME.fullmatch(value) is not None and Path(value).suffix not in SUFFIXES


def read_checkpoint(where: Path | str, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of a file, of a sharded checkpoint's index, of a folder, or of a repository on the hub.

    Raises:
        UserError: nothing there, nothing that holds weights, or weights that cannot be read safely.
    """
    path = downloaded(str(where), wanted_by) if is_hub_name(str(where)) else Path(where)
    if path.is_dir():
        path = weights_in(path, wanted_by)
    if path.suffix == ".json":
        return read_shards(path, wanted_by)
    return read_weights(path, wanted_by)


def downloaded(name: str, wanted_by: str) -> Path:
    """The local folder of a hub repository's weights: its safetensors, or its torch files if it has no other."""
    repository, _, revision = name.partition("@")
    try:
        for patterns in (SAFE, TORCH):
            folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(patterns)))
            if any(path.suffix in SUFFIXES for path in folder.iterdir()):
                return folder
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} of {wanted_by} is no file or folder here, and cannot be had from the hub ({reason})."
        ) from error
    raise UserError(f"{name} of {wanted_by} holds no weights on the hub.")


def weights_in(folder: Path, wanted_by: str) -> Path:
    """The file in a folder that its weights are in, or their index."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.suffix != ".json")
    if len(files) != 1:
        found = f"{len(files)} files of weights" if files else "no weights"
        raise UserError(f"the checkpoint {folder} of {wanted_by} is a folder with {found}: give one file.")
    return files[0]


def read_shards(index: Path, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of all files that an index names; they lie beside it."""
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint {index} of {wanted_by} is not an index of sharded weights.") from error
    weights: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name:
            raise UserError(f"the checkpoint {index} of {wanted_by} points outside its folder ({name}).")
        weights |= read_weights(index.parent / name, wanted_by)
    missing = sorted(places.keys() - weights.keys())
    if missing:
        raise UserError(f"the checkpoint {index} of {wanted_by} lacks {len(missing)} tensors ({missing[0]}).")
    return weights
