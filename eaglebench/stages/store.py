"""The store of finished stages: a folder for each, named by everything that can change its result."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from eaglebench.utils.distributed import agreed, several
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import file_digest
from eaglebench.weights.files import read_weights, write_weights

# Raise it whenever code changes what a stage of the same description gives, or what a description says.
# 3: descriptions name classes without their modules, and the fields of the redesigned config.
SCHEMA = 3
WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
SHA256 = "sha256"  # of the weights, in the manifest
UNFINISHED = ".unfinished"  # folder of the checkpoints of what is being trained, and of its locks


@dataclass(frozen=True)
class Artefact:
    """A finished unit of a stage: trained weights by full name (`experts.sam.network...`), and what made them."""

    weights: Mapping[str, Tensor]
    manifest: Mapping[str, Any]


class Store:
    """Finished stages under `root`; with `root=None` nothing is kept and nothing is found.

    Args:
        root: its folder.
        tell: told of waiting and of damage.
    """

    def __init__(self, root: Path | None, tell: Callable[[str], None] = print) -> None:
        self.root = root
        self.tell = tell

    def folder(self, label: str, key: str) -> Path | None:
        """Where an artefact lies, or would."""
        return None if self.root is None else self.root / name_of(label, key)

    def unfinished(self, label: str, key: str) -> Path | None:
        """Where the checkpoints of an artefact lie while it is trained."""
        return None if self.root is None else self.root / UNFINISHED / name_of(label, key)

    def get(self, label: str, key: str) -> Artefact | None:
        """The finished artefact of this key, if there is one. A damaged one is removed, and told.

        Raises:
            UserError: it cannot be read, or not by all processes that train together.
        """
        folder = self.folder(label, key)
        manifest = agreed(lambda: None if folder is None else self.checked(folder, label))
        if folder is None or manifest is None:
            return None
        if several() and not (folder / WEIGHTS).is_file():
            raise UserError(f"store={self.root} is not there for all processes: give a folder that all nodes share.")
        return Artefact(read_weights(folder / WEIGHTS, label), manifest)

    def checked(self, folder: Path, label: str) -> dict[str, Any] | None:
        """The manifest of an artefact that is complete and as it was written; None if there is none."""
        # The manifest is there only in a complete artefact: the folder is renamed into place.
        if not (folder / MANIFEST).is_file():
            return None
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if file_digest(folder / WEIGHTS) == manifest[SHA256]:
                return dict(manifest)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass
        except OSError as error:  # says nothing of what is written there
            raise UserError(f"{folder} of the store cannot be read ({error}).") from error
        self.tell(f"{label}: {folder} is damaged; it is removed, as if it had not been trained")
        remove(folder)
        return None

    def put(self, label: str, key: str, artefact: Artefact) -> None:
        """Keep an artefact: written beside its place and renamed; its checkpoints go.

        Raises:
            UserError: the disk does not take it.
        """
        folder, unfinished = self.folder(label, key), self.unfinished(label, key)
        if folder is None or unfinished is None:
            return
        temporary = beside(folder)
        try:
            temporary.mkdir(parents=True)
            write_weights(temporary / WEIGHTS, artefact.weights)
            write_json(temporary / MANIFEST, {**artefact.manifest, SHA256: file_digest(temporary / WEIGHTS)})
            if self.checked(folder, label) is None:  # where locks do not reach, another process may have been first
                temporary.rename(folder)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{label} is trained and cannot be written to {folder} ({error}): make room, and the same command goes on from its "
                "last checkpoint."
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)

    @contextmanager
    def alone(self, label: str, key: str) -> Iterator[None]:
        """Within it, no other process trains this artefact. The system gives the lock of a process back however it ends."""
        unfinished = self.unfinished(label, key)
        if unfinished is None:
            yield
            return
        lock = lock_of(unfinished)
        agreed(lambda: self.acquire(lock, unfinished.parent, label))
        try:
            yield
        finally:
            lock.release()

    def acquire(self, lock: FileLock, folder: Path, label: str) -> None:
        """Take a lock that lies in `folder`, and tell of waiting for it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            self.tell(f"{label}: another process is training it; waiting for that")
            lock.acquire()
        except OSError as error:
            raise UserError(
                f"store={self.root} cannot be written ({error}): give another folder, or store=none."
            ) from error


def beside(folder: Path) -> Path:
    """A hidden place of this process alone, from and to which a folder is renamed."""
    return folder.with_name(f".{folder.name}.{os.getpid()}.{time.monotonic_ns()}")


def remove(folder: Path) -> None:
    """Remove an artefact: it is there or not, never half, for who looks meanwhile."""
    aside = beside(folder)
    with suppress(FileNotFoundError):  # another process was first
        folder.rename(aside)
        shutil.rmtree(aside)


def lock_of(unfinished: Path) -> FileLock:
    """The lock of an artefact, by the folder of its checkpoints."""
    return FileLock(unfinished.with_name(f"{unfinished.name}.lock"))


def name_of(label: str, key: str) -> str:
    """The name of an artefact's folder."""
    return f"{label.replace('/', '-')}-{key}"
