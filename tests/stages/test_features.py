"""Features of frozen experts are computed once, for all stages and fusions, and change nothing but last digits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from eaglebench.config.build import build_factory, build_stages
from eaglebench.config.build_data import build_data
from eaglebench.experts.sam import Sam
from eaglebench.model.eagle import EagleModel
from eaglebench.stages.features import FeatureCache
from eaglebench.stages.store import Store
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.training.setup import TrainingSetup
from tests.conftest import Outcome, composed

FEW = ["data.limit=20", "fast=true", "experts=[clip,sam]"]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many images SAM encodes in each call."""
    counts: list[int] = []
    forward = Sam.forward

    def counting(self: Sam, pixels: torch.Tensor, *rest: object) -> torch.Tensor:
        counts.append(len(pixels))
        return forward(self, pixels, *rest)

    monkeypatch.setattr(Sam, "forward", counting)
    yield counts


class Attach:
    """Builds the setup of a stage with a cache of features in one store."""

    def __init__(self, store: Path, data: str) -> None:
        self.store = Store(store, lambda _: None)
        self.data = data
        self.printed: list[str] = []

    def __call__(self, stage: str, *words: str, megabytes: int = 100) -> tuple[EagleModel, TrainingSetup]:
        config = composed(*FEW, f"data.cache_dir={self.data}", f"stages=[{stage}]", *words)
        factory, data = build_factory(config), build_data(config, lambda _: None)
        (built,) = build_stages(config)
        (unit,) = built.units(factory)
        setup = built.build_setup(unit, factory, data)
        assert isinstance(setup.network, EagleModel)
        cache = FeatureCache(self.store, megabytes, "cpu", self.printed.append)
        cache.attach(built, unit, factory, TrainedWeights(), setup.network, setup.dataset)
        return setup.network, setup


@pytest.fixture
def attach(tmp_path: Path, fast_store: list[str]) -> Attach:
    (data,) = [word.partition("=")[2] for word in fast_store if word.startswith("data.cache_dir=")]
    return Attach(tmp_path, data)


def loss_of(model: EagleModel, setup: TrainingSetup) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(setup.collate([setup.dataset[index] for index in range(20)]))


@pytest.mark.parametrize("fusion", ["channel_concat", "mini_gemini"])
def test_a_frozen_stage_gives_the_same_loss_and_runs_no_expert(fusion: str, attach: Attach, encoded: list[int]) -> None:
    live, setup = attach("projector", f"fusion={fusion}", megabytes=0)
    expected = loss_of(live, setup)
    model, setup = attach("projector", f"fusion={fusion}")
    encoded.clear()
    torch.testing.assert_close(loss_of(model, setup), expected, rtol=1e-4, atol=1e-4)
    assert encoded == []
    assert all(value.dtype == torch.float16 for value in model.features.values())


def test_other_stages_and_fusions_find_them_in_the_store(attach: Attach, encoded: list[int]) -> None:
    first, _ = attach("projector")
    assert len(attach.printed) == 1 and "features of 20 images with clip, sam" in attach.printed[0]
    encoded.clear()
    for words in (["fusion=sequence_append"], ["seed=3"], ["stages.projector.data=null"], ["experts=[sam]"]):
        model, _ = attach("projector", *words)
        assert torch.equal(model.features["sam"], first.features["sam"])
    assert sum(encoded) == 4  # one image each time, whose shape tells how much memory all take
    assert len(attach.printed) == 1


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("sft", ["stages.sft.lr.experts=1e-4"]),
        ("projector", ["fusion=llava_hr"]),  # reaches into its base
        ("projector", ["stages.projector.lr.experts=1e-4"]),
    ],
)
def test_experts_run_in_each_step_where_their_features_change(stage: str, words: list[str], attach: Attach) -> None:
    model, setup = attach(stage, *words)
    assert model.features == {} and setup.dataset[0].image.dim() == 3


def test_experts_run_in_each_step_where_there_is_no_room(attach: Attach) -> None:
    model, _ = attach("projector", megabytes=0)
    assert model.features == {}


def test_other_weights_or_other_images_have_features_of_their_own(attach: Attach) -> None:
    first, _ = attach("projector")
    other, _ = attach("projector", "experts.sam.checkpoint=none")
    assert torch.equal(other.features["clip"], first.features["clip"])
    assert not torch.equal(other.features["sam"], first.features["sam"])
    fewer, _ = attach("projector", "data.limit=16")
    assert len(fewer.features["sam"]) == 16


def test_a_run_keeps_them_in_its_store(command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path) -> None:
    words = [*fast_store, f"store={tmp_path}/store", "stages=[projector]", "evaluation.blind.steps=0"]
    outcome = command(*words, f"hydra.run.dir={tmp_path}/run")
    assert outcome.code == 0, outcome.err
    assert "features of 48 images with clip, sam" in outcome.out
    assert len(list((tmp_path / "store").glob("features-*"))) == 2
    again = command(*words, "seed=1", f"hydra.run.dir={tmp_path}/again")
    assert again.code == 0 and "features of" not in again.out
