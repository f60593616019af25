"""Which images can be decoded. An image is checked once, and again when its size or time changes."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_json_object, write_text
from eaglebench.utils.hashing import hash_json

LOCK = ".lock"
HASH_LENGTH = 16  # hex digits
BATCH = 5_000  # images after which results are written, so that little is lost when a check is interrupted

State = tuple[int, int]  # size in bytes, and time of the last change in ns
Check = Callable[[Path], str | None]  # the reason why an image cannot be decoded; None if it can


def find_broken(images: Iterable[Path], cache: Path, check: Check, rule: str = "") -> dict[Path, str]:
    """Find the images that cannot be decoded.

    Args:
        images: the images.
        cache: folder of the results. There is one file for each folder of images; several processes may use them.
        check: checks one image.
        rule: what its result depends on beside the image; those of another rule are not taken for it.

    Returns:
        The reason for each broken image.

    Raises:
        UserError: `cache` cannot be written.
    """
    by_folder: dict[Path, list[Path]] = {}
    for image in sorted(set(images)):
        by_folder.setdefault(image.parent, []).append(image)
    broken: dict[Path, str] = {}
    with ThreadPoolExecutor() as pool:
        for folder, members in by_folder.items():
            results = FolderResults(folder, cache, rule)
            states = {image: read_state(image) for image in members}
            found = {image: results.find(image.name, state) for image, state in states.items()}
            unknown = [image for image, result in found.items() if result is None]
            for first in range(0, len(unknown), BATCH):
                batch = unknown[first : first + BATCH]
                reasons = dict(zip(batch, pool.map(check, batch), strict=True))
                results.remember({image.name: (states[image], reason or "") for image, reason in reasons.items()})
                found.update((image, reason or "") for image, reason in reasons.items())
            broken.update((image, reason) for image, reason in found.items() if reason)
    return broken


def read_state(image: Path) -> State:
    """Size and time of an image; zeros if it is gone, which the check then says."""
    try:
        stat = image.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


class FolderResults:
    """The results of the images of one folder, in a file of the cache.

    Args:
        folder: the folder of the images.
        cache: folder of the results.
        rule: see `find_broken`.
    """

    def __init__(self, folder: Path, cache: Path, rule: str = "") -> None:
        self.folder = folder
        self.cache = cache
        self.path = cache / f"folder-{hash_json([str(folder), rule], HASH_LENGTH)}.json"
        self._known = self.read()

    def read(self) -> dict[str, object]:
        """The results by image name, as [size, time, reason]; none if the file is missing or damaged."""
        images = (read_json_object(self.path) or {}).get("images")
        return images if isinstance(images, dict) else {}

    def find(self, name: str, state: State) -> str | None:
        """Why an image is broken, empty if it is not; None if it was not checked in this state."""
        match self._known.get(name):
            case [size, time, str(reason)] if (size, time) == state:
                return reason
        return None

    def remember(self, new: Mapping[str, tuple[State, str]]) -> None:
        """Add results to the file, and keep those that other processes added meanwhile.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with FileLock(self.cache / LOCK):
                images = self.read() | {name: [*state, reason] for name, (state, reason) in new.items()}
                write_text(self.path, json.dumps({"folder": os.fspath(self.folder), "images": images}) + "\n")
        except OSError as error:
            raise UserError(
                f"the results of checking images cannot be written to {self.cache} ({error.strerror}): set "
                "data.cache_dir to a folder that can be written."
            ) from error
