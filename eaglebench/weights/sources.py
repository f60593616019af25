"""Checkpoints as people have them: a file, a folder, sharded or not, or a name on the Hugging Face hub."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name
from torch import Tensor

from eaglebench.utils.errors import UserError, first_line
from eaglebench.weights.files import read_weights

# What a folder's or a repository's weights may be called, the safer ones first.
NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".json")
# A repository, perhaps at a revision, and perhaps one file in it.
HUB_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w.-]+))?(/(?P<file>[\w./-]+))?")


def is_hub_name(value: str) -> bool:
    """Whether a checkpoint that is no path here can be on the hub: `owner/name`, `owner/name@revision`, either with `/path/of.file`."""
    match = HUB_NAME.fullmatch(value)
    return match is not None and not Path(value).exists() and Path(match["repository"]).suffix not in SUFFIXES


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
    """The local copy of a hub repository's weights, or of the index of its shards with them beside it."""
    match = HUB_NAME.fullmatch(name)
    assert match is not None
    repository, revision = match["repository"], match["revision"]
    reason = "none of its files is called as weights usually are"
    for file in [match["file"]] if match["file"] else NAMES:
        try:
            path = Path(hf_hub_download(repository, file, revision=revision))
            for shard in sorted(set(places(path, wanted_by).values())) if path.suffix == ".json" else ():
                hf_hub_download(repository, str(Path(file).parent / shard), revision=revision)
        except EntryNotFoundError as error:  # also of a repository that is neither reachable nor in the cache
            reason = first_line(error)
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = first_line(error)
            break
        else:
            return path
    raise UserError(
        f"{name} of {wanted_by} is no file or folder here, and cannot be had from the hub ({reason}): give a file, or "
        "owner/name/path/of.file for one in a repository."
    )


def commit_of(name: str) -> str | None:
    """The commit of a hub repository that was read last, by the cache of what was downloaded; None if it is not there."""
    match = HUB_NAME.fullmatch(name)
    assert match is not None
    reference = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=match["repository"], repo_type="model") / "refs"
    try:
        return (reference / (match["revision"] or "main")).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def read_config(where: Path | str, name: str) -> dict[str, Any]:
    """The JSON file `name` beside the weights of a folder or of a repository on the hub; empty if there is none."""
    match = HUB_NAME.fullmatch(str(where)) if is_hub_name(str(where)) else None
    try:
        if match is None:
            path = Path(where) / name
        elif match["file"]:
            return {}
        else:
            path = Path(hf_hub_download(match["repository"], name, revision=match["revision"]))
        config = json.loads(path.read_text(encoding="utf-8"))
    except (HfHubHTTPError, OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


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
    where = places(index, wanted_by)
    weights: dict[str, Tensor] = {}
    for name in sorted(set(where.values())):
        weights |= read_weights(index.parent / name, wanted_by)
    missing = sorted(where.keys() - weights.keys())
    if missing:
        raise UserError(f"the checkpoint {index} of {wanted_by} lacks {len(missing)} tensors ({missing[0]}).")
    return weights


def places(index: Path, wanted_by: str) -> dict[str, str]:
    """The file of each tensor, beside the index."""
    try:
        where = {
            str(key): str(name) for key, name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint {index} of {wanted_by} is not an index of sharded weights.") from error
    for name in where.values():
        if Path(name).name != name:
            raise UserError(f"the checkpoint {index} of {wanted_by} points outside its folder ({name}).")
    return where
