"""The store of finished stages: a folder for each, named by everything that can change its result."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from eaglebench.files import write_json
from eaglebench.weights import read_weights, write_weights

# Raise it whenever code changes what a stage of the same description gives.
SCHEMA = 1
WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"


@dataclass(frozen=True)
class Artefact:
    """A finished unit of a stage: trained weights by full name (`experts.sam.network...`), and what made them."""

    weights: Mapping[str, Tensor]
    manifest: Mapping[str, Any]


class Store:
    """Finished stages under `root`; with `root=None` nothing is kept and nothing is found."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def folder(self, label: str, key: str) -> Path | None:
        """Where an artefact lies, or would."""
        return None if self.root is None else self.root / f"{label.replace('/', '-')}-{key}"

    def get(self, label: str, key: str) -> Artefact | None:
        """The finished artefact of this key, if there is one."""
        folder = self.folder(label, key)
        # The manifest is there only in a complete artefact: the folder is renamed into place.
        if folder is None or not (folder / MANIFEST).is_file():
            return None
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Artefact(read_weights(folder / WEIGHTS, label), manifest)

    def put(self, label: str, key: str, artefact: Artefact) -> None:
        """Keep an artefact: written beside its place and renamed."""
        folder = self.folder(label, key)
        if folder is None:
            return
        assert self.root is not None
        temporary = self.root / f".{folder.name}.{os.getpid()}.{time.monotonic_ns()}"
        temporary.mkdir(parents=True)
        try:
            write_weights(temporary / WEIGHTS, artefact.weights)
            write_json(temporary / MANIFEST, dict(artefact.manifest))
            try:
                temporary.rename(folder)
            except OSError:
                if self.get(label, key) is None:  # not another process that finished the same stage first
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
