"""Names of checkpoints on the Hugging Face hub."""

import re
from pathlib import Path

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".json")

# A repository, optionally at a revision, and optionally one file in it.
HUB_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w.-]+))?(/(?P<file>[\w./-]+))?")


def is_hub_name(value: str) -> bool:
    """Whether a checkpoint is a name on the hub and no path on this machine.

    Names are `owner/name` or `owner/name@revision`, either followed by `/path/of.file` for one file.
    """
    match = HUB_NAME.fullmatch(value)
    return match is not None and not Path(value).exists() and Path(match["repository"]).suffix not in SUFFIXES


def read_cached_commit(name: str) -> str | None:
    """The commit of a hub repository in the download cache; None if it was never downloaded."""
    # Here, because it takes a second to import, and few commands meet a name on the hub.
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    match = HUB_NAME.fullmatch(name)
    assert match is not None
    reference = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=match["repository"], repo_type="model") / "refs"
    try:
        return (reference / (match["revision"] or "main")).read_text(encoding="utf-8").strip()
    except OSError:
        return None
