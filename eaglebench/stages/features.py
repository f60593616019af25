"""Features of frozen experts, computed once and kept in the store for every stage, fusion and seed that needs them.

A stage that trains no expert would encode each image with the same weights in each epoch. Here each is encoded once, in
batches of a fixed order, so that the features do not depend on which run was first. They are kept in float16.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eaglebench.data.collate import ConversationDataset
from eaglebench.data.images import ImageReader
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ModelFactory
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.store import KEY_LENGTH, SCHEMA, Artefact, Store
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.utils.hashing import hash_json, without_module_paths
from eaglebench.utils.provenance import collect_versions

BATCH = 50  # images that are encoded together
BYTES = 2  # of a number in float16
NAME = "features"  # of the tensor in an artefact


class FeatureCache:
    """Gives a model that trains no expert the features of its images.

    Args:
        store: where they are kept.
        megabytes: most memory in MiB for the features of a stage; where they need more, experts run in each step.
        device: where images are encoded.
        log: prints one line.
    """

    def __init__(self, store: Store, megabytes: int, device: str, log: Callable[[str], None] = print) -> None:
        self.store = store
        self.limit = megabytes * 2**20
        self.device = device
        self.log = log

    def attach(
        self, stage: Stage, unit: StageUnit, factory: ModelFactory, trained: TrainedWeights, model: EagleModel,
        dataset: ConversationDataset,
    ) -> None:  # fmt: skip
        """Let a model take features in place of images, and a dataset give their numbers, if the stage allows it."""
        fusion, reader = model.fusion, dataset.read_image
        if fusion is None or not fusion.keeps_maps or not isinstance(reader, ImageReader):
            return
        if any(stage.learning_rate(f"experts.{name}", factory) for name in unit.experts):
            return
        images = list(dict.fromkeys(sample.image for sample in dataset.samples if sample.image is not None))
        if not self.limit or not images:
            return
        model.to(self.device)
        shapes = {name: tuple(value.shape[1:]) for name, value in encode(model, reader, images[:1]).items()}
        if len(images) * BYTES * sum(map(volume, shapes.values())) > self.limit:
            return
        described = describe_images(images, reader)
        keys = {
            source: hash_json(describe_source(source, factory, trained, described), KEY_LENGTH) for source in shapes
        }
        found = self.find(keys)
        if found.keys() != keys.keys():
            found = self.compute(model, reader, images, keys)
        model.train()  # as it came
        model.features = found
        numbers = {image: torch.tensor(number) for number, image in enumerate(images)}
        dataset.read_image = numbers.__getitem__

    def find(self, keys: Mapping[str, str]) -> dict[str, Tensor]:
        """The features of each source that the store has."""
        artefacts = {source: self.store.get(label_of(source), key) for source, key in keys.items()}
        return {source: found.weights[NAME] for source, found in artefacts.items() if found is not None}

    def compute(
        self, model: EagleModel, reader: ImageReader, images: Sequence[Path], keys: Mapping[str, str]
    ) -> dict[str, Tensor]:
        """Encode all images, and keep their features in the store."""
        started = time.monotonic()
        parts: dict[str, list[Tensor]] = {source: [] for source in keys}
        for first in range(0, len(images), BATCH):
            for source, maps in encode(model, reader, images[first : first + BATCH]).items():
                parts[source].append(maps.to("cpu", torch.float16))
        found = {source: torch.cat(maps).contiguous() for source, maps in parts.items()}
        seconds = round(time.monotonic() - started, 1)
        self.log(f"features of {len(images):,} images with {', '.join(keys)}: {seconds:.0f} s, once")
        for source, key in keys.items():
            manifest: dict[str, Any] = {
                "label": label_of(source), "steps": 0, "last_loss": None, "seconds": seconds, "losses": [],
                "curves": [], "description": {"parents": {}}, "versions": collect_versions(),
            }  # fmt: skip
            self.store.put(label_of(source), key, Artefact({NAME: found[source]}, manifest))
        return found


@torch.no_grad()
def encode(model: EagleModel, reader: ImageReader, images: Sequence[Path]) -> dict[str, Tensor]:
    """The maps of some images by source, from experts in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    return model.encode_features(torch.stack([reader(image) for image in images]).to(device))


def label_of(source: str) -> str:
    """The label of an artefact with the maps of a source."""
    return f"features/{source}"


def volume(shape: Sequence[int]) -> int:
    """How many numbers a tensor of this shape has."""
    return int(torch.Size(shape).numel())


def describe_images(images: Sequence[Path], reader: ImageReader) -> dict[str, Any]:
    """What identifies images as they are read."""
    states = [(image.name, *(status.st_size, status.st_mtime_ns)) for image in images for status in [image.stat()]]
    return {"images": hash_json(states, KEY_LENGTH), "side": reader.side, "shape": reader.settings.shape}


def describe_source(
    source: str, factory: ModelFactory, trained: TrainedWeights, images: Mapping[str, Any]
) -> dict[str, Any]:
    """What the maps of a source depend on."""
    name, _, level = source.partition("/")
    described: dict[str, Any] = without_module_paths(
        {
            "schema": SCHEMA,
            "expert": factory.experts[name].fingerprint(),
            "parent": trained.origins.get(f"experts.{name}"),
            "level": level,
            **images,
        }
    )
    return described
