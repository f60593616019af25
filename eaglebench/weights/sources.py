"""Where a checkpoint can come from: a file, a folder, sharded or not, or a repository on the Hugging Face hub."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from torch import Tensor

from eaglebench.utils.errors import UserError
from eaglebench.weights.files import read_weights
from eaglebench.weights.hub import HUB_NAME, SUFFIXES, explain_hub_error, is_hub_name, prepare_hub

# File names of the weights in a folder or a repository, the safer formats first.
WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)


def read_checkpoint(where: Path | str, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by key.

    Args:
        where: a file, the index of a sharded checkpoint, a folder, or a name on the hub.
        wanted_by: the part that needs the weights, as errors name it: `experts.clip`.

    Raises:
        UserError: nothing is there, it holds no weights, or the weights cannot be read safely.
    """
    path = download_weights(str(where), wanted_by) if is_hub_name(str(where)) else Path(where)
    if path.is_dir():
        path = find_weights(path, wanted_by)
    if path.suffix == ".json":
        return read_shards(path, wanted_by)
    return read_weights(path, wanted_by)


def download_weights(name: str, wanted_by: str) -> Path:
    """The local copy of a hub repository's weights: a file, or the index of a sharded checkpoint next to its shards.

    Raises:
        UserError: the repository cannot be reached, or has no file with one of the names in WEIGHT_FILES.
    """
    match = HUB_NAME.fullmatch(name)
    assert match is not None
    prepare_hub()
    repository, revision = match["repository"], match["revision"]
    reason = "none of its files has a usual name for weights"
    for file in [match["file"]] if match["file"] else WEIGHT_FILES:
        try:
            path = Path(hf_hub_download(repository, file, revision=revision))
            for shard in sorted(set(read_shard_index(path, wanted_by).values())) if path.suffix == ".json" else ():
                hf_hub_download(repository, str(Path(file).parent / shard), revision=revision)
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = explain_hub_error(error)
            if not isinstance(error, EntryNotFoundError):
                break
        else:
            return path
    raise UserError(
        f"{name} of {wanted_by} is no file or folder here, and could not be downloaded from the hub ({reason}): "
        "give a file, or owner/name/path/of.file for one in a repository."
    )


def read_config(where: Path | str, name: str) -> dict[str, Any]:
    """The JSON file `name` beside the weights of a checkpoint; empty if there is none.

    Beside a file or an index is its folder, here or in a repository of the hub.
    """
    match = HUB_NAME.fullmatch(str(where)) if is_hub_name(str(where)) else None
    try:
        if match is None:
            path = (Path(where) if Path(where).is_dir() else Path(where).parent) / name
        else:
            prepare_hub()
            beside = str(Path(match["file"] or name).with_name(name))
            path = Path(hf_hub_download(match["repository"], beside, revision=match["revision"]))
        config = json.loads(path.read_text(encoding="utf-8"))
    except (HfHubHTTPError, OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def find_weights(folder: Path, wanted_by: str) -> Path:
    """The weight file of a folder, or the index of its shards.

    Raises:
        UserError: no file has one of the names in WEIGHT_FILES, and the folder does not hold exactly one weight file.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.suffix != ".json")
    if len(files) != 1:
        found = f"{len(files)} weight files" if files else "no weights"
        raise UserError(f"the checkpoint {folder} of {wanted_by} is a folder with {found}: give one file.")
    return files[0]


def read_shards(index: Path, wanted_by: str) -> dict[str, Tensor]:
    """The tensors of all shards that an index names.

    Raises:
        UserError: the index or a shard cannot be read, or the shards lack a tensor of the index.
    """
    shards = read_shard_index(index, wanted_by)
    weights: dict[str, Tensor] = {}
    for name in sorted(set(shards.values())):
        weights |= read_weights(index.parent / name, wanted_by)
    missing = sorted(shards.keys() - weights.keys())
    if missing:
        raise UserError(f"the checkpoint {index} of {wanted_by} lacks {len(missing)} tensors ({missing[0]}).")
    return weights


def read_shard_index(index: Path, wanted_by: str) -> dict[str, str]:
    """The name of the file next to the index that holds each tensor.

    Raises:
        UserError: the file is not an index, or names a file outside its folder.
    """
    try:
        shards = {
            str(key): str(name) for key, name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint {index} of {wanted_by} is not an index of sharded weights.") from error
    for name in shards.values():
        if Path(name).name != name:
            raise UserError(f"the checkpoint {index} of {wanted_by} points outside its folder ({name}).")
    return shards
