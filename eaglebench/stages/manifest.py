"""The manifest of an artefact: what it has to hold, and how it is read. Imports neither torch nor Lightning."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eaglebench.stages.artefact_files import MANIFEST
from eaglebench.utils.files import read_json_object


class Description(BaseModel):
    """What the key of an artefact is a hash of, as far as it is read.

    Attributes:
        parents: the keys of the artefacts that it was trained from, by part.
    """

    model_config = ConfigDict(strict=True)

    parents: dict[str, str] = Field(default_factory=dict)


class UnfinishedManifest(BaseModel):
    """What is written when a training begins: it shows pruning which artefacts are in use."""

    model_config = ConfigDict(strict=True)

    description: Description


class Manifest(UnfinishedManifest):
    """What is read of the manifest of a finished artefact.

    Attributes:
        steps: optimizer steps.
        last_loss: the mean of the last losses; None if none of them is finite.
        seconds: that the training took.
        losses: of each optimizer step; None where it was skipped.
        curves: what was logged: an optimizer step, and values by name.
        sha256: of the weights.
    """

    steps: int
    last_loss: float | None
    seconds: float
    losses: list[float | None]
    curves: list[tuple[int, dict[str, float]]]
    sha256: str


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished artefact.

    Raises:
        ValueError: it is damaged; the message says how.
        OSError: the disk fails.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        Manifest.model_validate_json(content)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(f"no file {MANIFEST}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{MANIFEST}: {field + ': ' if field else ''}{first['msg']}") from error
    return dict(json.loads(content))


def read_parents(folder: Path) -> list[str]:
    """The keys of the artefacts that a finished or unfinished one is trained from; none if its manifest is damaged."""
    try:
        manifest = UnfinishedManifest.model_validate(read_json_object(folder / MANIFEST))
    except ValidationError:
        return []
    return sorted(set(manifest.description.parents.values()))
