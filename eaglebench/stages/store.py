"""The store of finished stages: a folder for each, named by a hash of everything that can change its result."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from eaglebench.stages.artefact_files import (
    MANIFEST,
    UNFINISHED,
    WEIGHTS,
    artefact_lock,
    artefact_name,
    lock_if_free,
    release_lock,
    set_aside,
)
from eaglebench.stages.manifest import read_manifest
from eaglebench.utils.distributed import broadcast_from_main, is_distributed
from eaglebench.utils.errors import UserError, first_line, is_disk_full
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_file
from eaglebench.utils.temporary import clear_leftovers_once, temporary_folder
from eaglebench.weights.files import read_weights, write_weights

# Raise it whenever code changes what a stage of the same description gives, or what a description says.
# 5: stages that train no expert take its features in float16.
# 4: conversations are tokenized whole, which changes the ids of Vicuna's and ChatML's template.
# 3: descriptions name classes without their modules, and the fields of the redesigned config.
SCHEMA = 5
KEY_LENGTH = 16  # hex digits
SHA256 = "sha256"  # of the weights, in the manifest


@dataclass(frozen=True)
class Artefact:
    """The result of a unit of a stage.

    Attributes:
        weights: trained weights by full name (`experts.sam.network...`).
        manifest: what the weights were trained from and how; JSON.
    """

    weights: Mapping[str, Tensor]
    manifest: Mapping[str, Any]


class Store:
    """A cache of finished stages. An artefact is known by the label of its unit and a key, the hash of its description.

    Args:
        root: the folder of the store; None: nothing is kept and nothing is found.
        log: prints one line.
    """

    def __init__(self, root: Path | None, log: Callable[[str], None] = print) -> None:
        self.root = root
        self.log = log

    def artefact_folder(self, label: str, key: str) -> Path | None:
        """Where an artefact is, or would be; None without a root."""
        return None if self.root is None else self.root / artefact_name(label, key)

    def checkpoint_folder(self, label: str, key: str) -> Path | None:
        """Where the checkpoints of an artefact are while it is trained; None without a root."""
        return None if self.root is None else self.root / UNFINISHED / artefact_name(label, key)

    def get(self, label: str, key: str) -> Artefact | None:
        """The finished artefact of this key, None if there is none. A corrupt one is set aside, which is logged.

        Raises:
            UserError: it cannot be read, or not by all processes that train together.
        """
        folder = self.artefact_folder(label, key)
        manifest = broadcast_from_main(lambda: self.find_manifest(label, key))
        if folder is None or manifest is None:
            return None
        if is_distributed() and not (folder / WEIGHTS).is_file():
            raise UserError(f"store={self.root} is not visible to all processes: give a folder that all nodes share.")
        return Artefact(read_weights(folder / WEIGHTS, label), manifest)

    def find_manifest(self, label: str, key: str) -> dict[str, Any] | None:
        """The manifest of a finished artefact, None if there is none; what a crash left beside it is removed.

        Raises:
            UserError: the disk fails.
        """
        folder, checkpoint_folder = self.artefact_folder(label, key), self.checkpoint_folder(label, key)
        if folder is None or checkpoint_folder is None:
            return None
        clear_leftovers_once(folder.parent)
        manifest = self.read_verified_manifest(folder, label)
        left = (checkpoint_folder, artefact_lock(checkpoint_folder).lock_file)
        if manifest is not None and any(os.path.lexists(path) for path in left):
            with lock_if_free(checkpoint_folder) as free:
                if free:
                    shutil.rmtree(checkpoint_folder, ignore_errors=True)
        return manifest

    def read_verified_manifest(self, folder: Path, label: str) -> dict[str, Any] | None:
        """The manifest of an artefact with intact weights, None if there is none; a corrupt artefact is set aside.

        Raises:
            UserError: the disk fails.
        """
        if not os.path.lexists(folder):
            return None
        try:
            manifest = read_manifest(folder)
            if hash_file(folder / WEIGHTS) == manifest[SHA256]:
                return manifest
            reason = f"wrong checksum of {WEIGHTS}"
        except ValueError as error:
            reason = str(error)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            reason = f"no file {WEIGHTS}"
        except OSError as error:  # says nothing of what the file holds
            raise UserError(f"{folder} of the store cannot be read ({error}).") from error
        self.log(f"{label}: {folder} is corrupt ({reason}): it is set aside as {set_aside(folder)}, and trained again")
        return None

    def put(self, label: str, key: str, artefact: Artefact) -> None:
        """Write an artefact atomically, and remove its checkpoints.

        Raises:
            UserError: the disk is full or fails; the checkpoints are kept.
        """
        folder, checkpoint_folder = self.artefact_folder(label, key), self.checkpoint_folder(label, key)
        if folder is None or checkpoint_folder is None:
            return
        try:
            with temporary_folder(folder) as temporary:
                write_weights(temporary / WEIGHTS, artefact.weights)
                write_json(temporary / MANIFEST, {**artefact.manifest, SHA256: hash_file(temporary / WEIGHTS)})
                # Where locks do not reach, another process may have been first.
                if self.read_verified_manifest(folder, label) is None:
                    temporary.rename(folder)
        except (OSError, RuntimeError) as error:
            way_out = "make room, and the" if is_disk_full(error) else "the"
            raise UserError(
                f"{label} is trained and cannot be written to {folder} ({first_line(error)}): {way_out} same command "
                "resumes from its last checkpoint."
            ) from error
        shutil.rmtree(checkpoint_folder, ignore_errors=True)

    @contextmanager
    def exclusive(self, label: str, key: str) -> Iterator[None]:
        """Within this context, no other process trains this artefact; one that does is waited for.

        The operating system releases the lock of a process that dies.

        Raises:
            UserError: the store cannot be written.
        """
        checkpoint_folder = self.checkpoint_folder(label, key)
        if checkpoint_folder is None:
            yield
            return
        lock = artefact_lock(checkpoint_folder)
        broadcast_from_main(lambda: self.acquire(lock, checkpoint_folder, label))
        try:
            yield
        finally:
            release_lock(lock)

    def acquire(self, lock: FileLock, checkpoint_folder: Path, label: str) -> None:
        """Acquire the lock of an artefact; waiting for it is logged.

        What lies in the place of the folder of its checkpoints, and is no folder, is removed.

        Raises:
            UserError: the store cannot be written.
        """
        try:
            checkpoint_folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self.log(f"{label}: another process is training it; waiting for that process")
                lock.acquire()
            if os.path.lexists(checkpoint_folder) and not checkpoint_folder.is_dir():
                self.log(f"{label}: {checkpoint_folder} is no folder of checkpoints, and is removed")
                checkpoint_folder.unlink()
        except OSError as error:
            raise UserError(
                f"store={self.root} cannot be written ({error}): give another folder, or store=none."
            ) from error
