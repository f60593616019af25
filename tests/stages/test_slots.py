"""The projector's upper bound: visual tokens that become the sums that the language model was pretrained on."""

from pathlib import Path

import pytest
import torch

from eaglebench.config.build import build_factory, build_stages
from eaglebench.config.build_data import build_data
from eaglebench.data.collate import Batch
from eaglebench.data.sample import Sample, Turn
from eaglebench.data.synthetic.drawing import Mark
from eaglebench.data.synthetic.transcription import write_slots
from eaglebench.fusion.place import find_places
from eaglebench.language.tokenizer import word_id
from eaglebench.model.eagle import EagleModel
from eaglebench.stages.slots import MAX_WORDS, SlotEncoder, SlotRegression
from eaglebench.training.setup import TrainingSetup
from eaglebench.utils.errors import UserError
from tests.conftest import composed
from tests.helpers.pretexts import blank_scene


@pytest.fixture
def rendered(fast_store: list[str]) -> str:
    (word,) = [word for word in fast_store if word.startswith("data.cache_dir=")]
    return word


def make_setup(rendered: str, *words: str) -> TrainingSetup:
    config = composed(*words, "fast=true", rendered, "experts=[clip]", "stages=[slots]")
    (stage,) = build_stages(config)
    factory = build_factory(config)
    (unit,) = stage.units(factory)
    return stage.build_setup(unit, factory, build_data(config, lambda _: None))


def test_slots_are_the_words_of_each_cell() -> None:
    scene = blank_scene(
        Mark(["star", "red"], (0, 0, 32, 32)),
        Mark(["blue", "=5"], (96, 32, 128, 128)),
        Mark(["total"], (0, 96, 32, 128)),
        Mark(["4"], (64, 96, 96, 128), field="total"),
        Mark(["ring", "pink"], (32, 0, 64, 32), rank="smallest"),
    )
    cells = write_slots(scene).split("|")
    assert len(cells) == 16
    assert {index: cell for index, cell in enumerate(cells) if cell} == {
        0: "star red", 1: "smallest ring pink", 7: "blue 5", 11: "blue", 12: "total", 14: "4", 15: "blue",
    }  # fmt: skip


def test_the_loss_is_zero_where_the_tokens_are_what_the_language_model_knows(rendered: str) -> None:
    setup = make_setup(rendered)
    model, (plain, language) = setup.network, setup.validation_models
    assert isinstance(model, SlotRegression)
    assert model.parts() == plain.parts() and type(plain) is EagleModel  # validated as it answers
    sample = Sample("s", Path("a.png"), (Turn("", "red star" + "|" * 14 + "|4"),))
    encoder = SlotEncoder(language, 16)
    assert encoder.fits(sample)
    ids = torch.tensor([encoder.encode(sample).input_ids])
    assert ids.shape == (1, 16 * MAX_WORDS)
    table = language.network.get_input_embeddings().weight.detach()
    places = find_places(language.places, 4)
    expected = places.clone()
    for cell, word in ((0, "red"), (0, "star"), (15, "4")):
        expected[cell] += table[word_id(language.tokenizer, word)]
    tokens = expected[None].clone().requires_grad_()
    model.encode_images = lambda images: tokens  # type: ignore[method-assign]
    batch = Batch(ids, torch.ones_like(ids), None, torch.zeros(1), ("s",))
    assert float(model(batch)) == pytest.approx(0, abs=1e-9)
    off = model.embed_words(ids) + 1
    model.encode_images = lambda images: off  # type: ignore[method-assign]
    assert float(model(batch)) == pytest.approx(1 / float(expected.var()), rel=1e-4)


def test_only_the_fusion_trains_and_an_image_is_one_target(rendered: str) -> None:
    setup = make_setup(rendered)
    assert {part for part, rate in setup.learning_rates.items() if rate} == {"fusion"}
    assert setup.count_targets is None
    setup.network(setup.collate([setup.dataset[index] for index in range(4)])).backward()
    assert all(parameter.grad is not None for parameter in setup.parts["fusion"].parameters())
    assert all(parameter.grad is None for parameter in setup.parts["llm"].parameters())


@pytest.mark.parametrize(
    "words", [["stages.slots.data=null"], ["stages.slots.data=captions"], ["fusion.grid=8"], ["llm.checkpoint=none"]]
)
def test_where_there_are_no_such_words_it_is_refused(rendered: str, words: list[str]) -> None:
    with pytest.raises(UserError, match=r"slots needs the words.*stages\.slots\.data=slots"):
        make_setup(rendered, *words)
