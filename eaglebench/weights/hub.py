"""Names of checkpoints on the Hugging Face hub, and whether the hub can be reached."""

import re
from functools import cache
from pathlib import Path

from eaglebench.utils.errors import first_line

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".json")
PROBE_SECONDS = 5.0  # for a connection, and for an answer
SERVER_ERROR = 500  # the lowest status of a server, or of a proxy, that cannot answer

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


def prepare_hub_for(name: str) -> None:
    """Prepare the hub (see `prepare_hub`) before something of this name is read, if it is a name on the hub."""
    if is_hub_name(name):
        prepare_hub()


@cache
def prepare_hub() -> str | None:
    """Look once whether the hub answers; if not, its libraries use their download cache alone from then on.

    They would ask for each file anew, with retries: minutes, for each part of a model.

    Returns:
        why the hub cannot be reached; None if it can, or if HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        status = get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS).status_code
    except Exception as error:  # those of the HTTP client, which is another one in other versions
        problem = first_line(error)
    else:
        if status < SERVER_ERROR:
            return None
        problem = f"status {status}"
    constants.HF_HUB_OFFLINE = True
    return problem


def explain_hub_error(error: BaseException) -> str:
    """Why something of the hub could not be read: without a network, what to do; otherwise the error's first line."""
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    chain: list[BaseException | None] = [error]
    while (last := chain[-1]) is not None:
        chain.append(last.__cause__ or last.__context__)
    if not any(isinstance(link, (LocalEntryNotFoundError, OfflineModeIsEnabled)) for link in chain):
        return first_line(error)
    problem = prepare_hub()
    why = f"{constants.ENDPOINT} does not answer: {problem}" if problem else "HF_HUB_OFFLINE is set"
    return (
        f"{why}; and it is not in the download cache {constants.HF_HUB_CACHE}. Without a network, give a local file or "
        "folder, or fill the cache elsewhere and set HF_HUB_OFFLINE=1"
    )
