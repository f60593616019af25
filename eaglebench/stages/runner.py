"""Runs the stages in order: each unit from the store if it is finished there, otherwise trained."""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import Workshop
from eaglebench.stages.base import Stage, Unit
from eaglebench.stages.store import MANIFEST, SCHEMA, Artefact, Store, name_of
from eaglebench.training.curves import log_again
from eaglebench.training.setup import SKIP
from eaglebench.training.trainer import Fit
from eaglebench.utils.distributed import agreed, leads, several
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import digest, without_module_paths
from eaglebench.utils.provenance import versions
from eaglebench.weights.files import copy_weights

KEY_LENGTH = 16
PRECISION = ("precision", "deterministic")  # what of a trainer changes more than the order in which numbers are added
UNSEEN = ("micro_batch", "nonfinite")  # what of a schedule changes no result, where every number is finite
LAST = 50  # steps that the reported loss is averaged over


@dataclass(frozen=True)
class Finished:
    """A finished unit: its key, whether it came from the store, and its manifest."""

    label: str
    key: str
    reused: bool
    manifest: Mapping[str, Any]


@dataclass
class State:
    """What the stages so far have given: weights by full name, and which artefact each part comes from."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def load_into(self, parts: Mapping[str, nn.Module]) -> None:
        """Copy what is known of each named part into it."""
        for name, part in parts.items():
            if name in self.origins:
                prefix = f"{name}."
                own = {key.removeprefix(prefix): value for key, value in self.weights.items() if key.startswith(prefix)}
                copy_weights(part, own, f"the finished stage behind {name}")

    def take(self, key: str, parts: Sequence[str], weights: Mapping[str, Tensor]) -> None:
        """Take over an artefact's weights."""
        self.weights.update(weights)
        self.origins.update(dict.fromkeys(parts, key))


class Runner:
    """Trains units of stages.

    Args:
        workshop: builds the models.
        data: what they train on.
        store: of finished stages.
        fit: trains one network.
        tell: told what happens.
        look: gives, for a model, its language model and a device, what held-out samples say of it while it is trained.
    """

    def __init__(
        self,
        workshop: Workshop,
        data: DataSource,
        store: Store,
        fit: Fit,
        tell: Callable[[str], None] = print,
        look: Callable[[EagleModel, LanguageModel, torch.device], Mapping[str, float]] | None = None,
    ) -> None:
        self.look = look
        self.workshop = workshop
        self.data = data
        self.store = store
        self.fit = fit
        self.tell = tell

    def run(self, stages: Sequence[Stage]) -> tuple[State, list[Finished]]:
        """The weights after all stages, and what was done for them."""
        state, finished = State(), []
        for stage in stages:
            units = stage.units(self.workshop)
            if not units:
                self.tell(f"{stage.name}: nothing to train (every expert is frozen, aligned or has its own weights)")
            for unit in units:
                finished.append(self.run_unit(stage, unit, state))
        return state, finished

    def run_unit(self, stage: Stage, unit: Unit, state: State) -> Finished:
        """Finish one unit and add what it gives to `state`."""
        key, description = agreed(partial(self.key, stage, unit, state))
        carried = stage.carried(unit, self.workshop)
        artefact, reused = self.store.get(unit.label, key), True
        if artefact is None:
            with self.store.alone(unit.label, key):
                artefact = self.store.get(unit.label, key)  # of a process that was waited for
                if artefact is None:
                    folder = self.store.unfinished(unit.label, key)
                    artefact, reused = self.train(stage, unit, state, carried, description, folder), False
                    agreed(partial(self.store.put, unit.label, key, artefact))
                    if several():  # it has the weights alone
                        artefact = self.store.get(unit.label, key) or artefact
        if None in artefact.manifest["losses"] and stage.schedule.nonfinite != SKIP:
            raise UserError(
                f"{unit.label} in the store left steps out whose gradients were not finite: allow it with nonfinite=skip, or remove it "
                f"with task=store 'prune=[{name_of(unit.label, key)}]'."
            )
        if reused:
            self.tell(f"{unit.label}: taken from the store ({key})")
            losses = artefact.manifest["losses"]
            log_again(self.fit.loggers, unit.label, losses, len(losses))
        state.take(key, carried, artefact.weights)
        return Finished(unit.label, key, reused, artefact.manifest)

    def key(self, stage: Stage, unit: Unit, state: State) -> tuple[str, dict[str, Any]]:
        """The name of a unit's result, and the description that it is a digest of."""
        description = {
            "schema": SCHEMA,
            "stage": type(stage).__name__,
            "lr": stage.lr,
            "unfreeze_at": stage.unfreeze_at,
            "schedule": {name: value for name, value in asdict(stage.schedule).items() if name not in UNSEEN},
            "seed": self.workshop.seed,
            "trainer": {name: self.fit.trainer.get(name) for name in PRECISION} | {"compile": self.fit.compiled},
            "parents": {part: state.origins[part] for part in stage.part_names(unit) if part in state.origins},
            "of": stage.described(unit, self.workshop, self.data),
        }
        description = without_module_paths(description)
        return digest(description, KEY_LENGTH), description

    def train(
        self,
        stage: Stage,
        unit: Unit,
        state: State,
        carried: Sequence[str],
        description: Mapping[str, Any],
        folder: Path | None,
    ) -> Artefact:
        """Train a unit that the store does not have, with its checkpoints in `folder`."""
        gc.collect()  # the network of the stage before goes now: there may be no room for both
        training = stage.build(unit, self.workshop, self.data)
        state.load_into({name: part for name, part in training.parts.items() if name in stage.part_names(unit)})
        started = time.monotonic()
        look = partial(self.look, *training.answering) if self.look is not None and training.answering else None
        if folder is not None and leads():  # what it is trained from is in use
            write_json(folder / MANIFEST, {"description": description})
        losses, weights = self.fit(training, stage.schedule, unit.label, self.data.workers, folder, look, carried)
        manifest = {
            "label": unit.label,
            "parts": list(carried),
            "steps": len(losses),
            "last_loss": mean_of(losses[-LAST:]),
            "seconds": round(time.monotonic() - started, 1),
            "losses": [mean_of([loss]) for loss in losses],
            "description": description,
            "versions": versions(),
        }
        return Artefact(weights, manifest)


def mean_of(losses: Sequence[float]) -> float | None:
    """The mean of those that are numbers, as a manifest has it; None if none is."""
    numbers = [loss for loss in losses if math.isfinite(loss)]
    return round(fmean(numbers), 4) if numbers else None
