"""Artefacts of stages that nothing was trained for."""

from typing import Any

import torch

from eaglebench.stages.store import Artefact


def make_artefact(parents: dict[str, str] | None = None, **fields: Any) -> Artefact:
    """An artefact of one tensor, trained from the artefacts of these keys by part; `fields` replace its manifest's."""
    manifest = {
        "label": "sft",
        "parts": ["experts.sam"],
        "steps": 2,
        "last_loss": 0.5,
        "seconds": 1.5,
        "losses": [0.6, 0.4],
        "curves": [(1, {"sft/loss": 0.4})],
        "description": {"parents": parents or {}},
        "versions": {},
    }
    return Artefact({"experts.sam.w": torch.arange(4.0)}, {**manifest, **fields})
