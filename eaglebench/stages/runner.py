"""Runs the stages in order: each unit is taken from the store if it is finished there, and trained otherwise."""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean
from typing import Any

import torch

from eaglebench.data.source import DataSource
from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.stages.artefact_files import MANIFEST, artefact_name
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.features import FeatureCache
from eaglebench.stages.store import KEY_LENGTH, SCHEMA, Artefact, Store
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.training.curves import log_curves
from eaglebench.training.hyperparameters import SKIP
from eaglebench.training.trainer import StageTrainer
from eaglebench.utils.distributed import broadcast_from_main, is_distributed, is_main_process
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import write_json
from eaglebench.utils.hashing import hash_json, without_module_paths
from eaglebench.utils.provenance import collect_versions

# Settings of the trainer that change more than the order in which numbers are added.
TRAINER_IDENTITY = ("precision", "deterministic")
# Hyperparameters that change no result, as long as every number is finite.
NOT_IDENTITY = ("micro_batch", "nonfinite")
LAST = 50  # steps that the reported loss is averaged over


@dataclass(frozen=True)
class StageResult:
    """A finished unit of a stage.

    Attributes:
        label: of the unit.
        key: of its artefact.
        reused: it came from the store.
        manifest: of its artefact.
    """

    label: str
    key: str
    reused: bool
    manifest: Mapping[str, Any]


class Runner:
    """Finishes units of stages, from the store or by training.

    Args:
        factory: builds the models.
        data: to train on.
        store: of finished stages.
        trainer: trains one unit.
        log: prints one line.
        validator: gives values by name for a model in training, its language model and a device; None: no validation.
        features: keeps features of frozen experts; None: experts run in each step.
    """

    def __init__(
        self,
        factory: ModelFactory,
        data: DataSource,
        store: Store,
        trainer: StageTrainer,
        log: Callable[[str], None] = print,
        validator: Callable[[EagleModel, LanguageModel, torch.device], Mapping[str, float]] | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        self.factory = factory
        self.data = data
        self.store = store
        self.trainer = trainer
        self.log = log
        self.validator = validator
        self.features = features

    def run(self, stages: Sequence[Stage]) -> tuple[TrainedWeights, list[StageResult]]:
        """The weights after all stages, and the result of each unit.

        Raises:
            UserError: as of `run_unit`.
        """
        trained, results = TrainedWeights(), []
        for stage in stages:
            units = stage.units(self.factory)
            if not units:
                self.log(f"{stage.name}: nothing to train (every expert is frozen or text-aligned)")
            for unit in units:
                results.append(self.run_unit(stage, unit, trained))
        return trained, results

    def run_unit(self, stage: Stage, unit: StageUnit, trained: TrainedWeights) -> StageResult:
        """Finish one unit, and add its output to `trained`.

        Raises:
            UserError: it cannot be trained, or the store holds it with skipped steps that this run does not allow.
        """
        key, description = broadcast_from_main(partial(self.compute_key, stage, unit, trained))
        output_parts = stage.output_parts(unit, self.factory)
        artefact, reused = self.store.get(unit.label, key), True
        if artefact is None:
            with self.store.exclusive(unit.label, key):
                artefact = self.store.get(unit.label, key)  # of another process, after waiting for it
                if artefact is None:
                    artefact, reused = self.train_unit(stage, unit, trained, key, description), False
                    broadcast_from_main(partial(self.store.put, unit.label, key, artefact))
                    if is_distributed():  # only the main process has the weights
                        artefact = self.store.get(unit.label, key) or artefact
        if None in artefact.manifest["losses"] and stage.hyperparameters.nonfinite != SKIP:
            raise UserError(
                f"{unit.label} in the store skipped steps whose gradients were not finite: allow it with "
                f"{stage.config_path}.nonfinite=skip, or remove it with task=store "
                f"'prune=[{artefact_name(unit.label, key)}]'."
            )
        if reused:
            self.log(f"{unit.label}: taken from the store ({key})")
            log_curves(self.trainer.loggers, artefact.manifest["curves"])
        trained.add(key, output_parts, artefact.weights)
        return StageResult(unit.label, key, reused, artefact.manifest)

    def compute_key(self, stage: Stage, unit: StageUnit, trained: TrainedWeights) -> tuple[str, dict[str, Any]]:
        """The key of a unit's artefact, and the description of the unit that it is a hash of."""
        numbers = {name: value for name, value in asdict(stage.hyperparameters).items() if name not in NOT_IDENTITY}
        settings = {name: self.trainer.lightning_arguments.get(name) for name in TRAINER_IDENTITY}
        description: dict[str, Any] = without_module_paths(
            {
                "schema": SCHEMA,
                "stage": type(stage).__name__,
                "lr": stage.lr,
                "unfreeze_at": stage.unfreeze_at,
                "group_by_length": stage.group_by_length,
                "hyperparameters": numbers,
                "seed": self.factory.seed,
                "trainer": settings | {"compile": self.trainer.compile_blocks},
                "parents": {part: trained.origins[part] for part in stage.input_parts(unit) if part in trained.origins},
                "fingerprint": stage.fingerprint(unit, self.factory, self.data),
            }
        )
        return hash_json(description, KEY_LENGTH), description

    def train_unit(
        self, stage: Stage, unit: StageUnit, trained: TrainedWeights, key: str, description: Mapping[str, Any]
    ) -> Artefact:
        """Train a unit that the store does not have.

        Args:
            stage: to train.
            unit: of the stage.
            trained: weights of earlier stages.
            key: of the artefact.
            description: what the key is a hash of.

        Raises:
            UserError: it cannot be trained.
        """
        gc.collect()  # frees the network of the stage before: there may be no room for both
        setup = stage.build_setup(unit, self.factory, self.data)
        trained.load_into({name: part for name, part in setup.parts.items() if name in stage.input_parts(unit)})
        started = time.monotonic()
        if self.features is not None and isinstance(setup.network, EagleModel):
            dataset: Any = setup.dataset
            self.features.attach(stage, unit, self.factory, trained, setup.network, dataset)
        validate = None
        if self.validator is not None and setup.validation_models:
            validate = partial(self.validator, *setup.validation_models)
        checkpoint_folder = self.store.checkpoint_folder(unit.label, key)
        if checkpoint_folder is not None and is_main_process():  # shows pruning which artefacts are in use
            write_json(checkpoint_folder / MANIFEST, {"description": description})
        output_parts = stage.output_parts(unit, self.factory)
        losses, weights, curves = self.trainer.train(
            setup, stage.hyperparameters, unit.label, self.data.workers, checkpoint_folder, validate, output_parts
        )
        manifest = {
            "label": unit.label,
            "parts": list(output_parts),
            "steps": len(losses),
            "last_loss": mean_finite(losses[-LAST:]),
            "seconds": round(time.monotonic() - started, 1),
            "losses": [mean_finite([loss]) for loss in losses],
            "curves": curves,
            "description": description,
            "versions": collect_versions(),
        }
        return Artefact(weights, manifest)


def mean_finite(losses: Sequence[float]) -> float | None:
    """The mean of the finite losses, rounded to four digits; None if there is none."""
    numbers = [loss for loss in losses if math.isfinite(loss)]
    return round(fmean(numbers), 4) if numbers else None
