"""The weights that ship: whole, small, and as good as their cards say."""

import inspect
import json
from pathlib import Path

import pytest
import torch
from hydra.utils import get_object

from eaglebench.config.build import build_factory, build_pretext, checkpoint_path
from eaglebench.config.compose import options
from eaglebench.config.schema import Config
from eaglebench.config.schema_tasks import PretrainConfig
from eaglebench.tasks.pretrain_run import card_settings, draw_images, measure_saved
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import hash_file
from eaglebench.weights.files import read_weights
from eaglebench.zoo import shipped
from eaglebench.zoo.cards import read_card
from eaglebench.zoo.pretext import GROUP
from eaglebench.zoo.shipped import SHIPPED, weights_file
from tests.conftest import composed

PARTS = options("pretrain")
MEGABYTES = 40
SAMPLE = 128  # scenes
LARGER = {"dinov2": 512, "llm": 256}  # a probe needs scenes; a third of the language model's have no question
TOLERANCE = 0.08  # about twice the standard error of a share of one half


def compose_pretraining(part: str) -> tuple[Config, PretrainConfig]:
    """The config of a part's pretraining, and its section that measures the shipped weights on few scenes."""
    config = composed("task=pretrain", f"pretrain={part}")
    assert config.pretrain is not None
    changes = {"folder": SHIPPED, "validation_images": LARGER.get(part, SAMPLE)}
    return config, config.pretrain.model_copy(update=changes)


@pytest.mark.parametrize("part", PARTS)
def test_the_files_are_those_of_the_card(part: str) -> None:
    card = read_card(SHIPPED, part)
    assert card.part == part
    assert weights_file(SHIPPED, part).name in card.sha256
    assert {name: hash_file(SHIPPED / name) for name in card.sha256} == dict(card.sha256)
    weights = read_weights(weights_file(SHIPPED, part), part)
    assert sum(tensor.numel() for tensor in weights.values()) == card.parameters
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


@pytest.mark.parametrize("part", PARTS)
def test_the_card_says_how_it_was_made(part: str) -> None:
    card = read_card(SHIPPED, part)
    # A part that was trained in more than one go, or on other scenes than now, says so.
    assert card.command.startswith(f"python -m eaglebench task=pretrain pretrain={part}")
    assert card.remarks or card.command == f"python -m eaglebench task=pretrain pretrain={part}"
    config, settings = compose_pretraining(part)
    now = json.loads(json.dumps(build_pretext(config)[1]))
    parameters = inspect.signature(get_object(now["_target_"])).parameters
    # An argument that was added later has its default.
    assert now == {name: parameters[name].default for name in now.keys() - card.config.keys()} | dict(card.config)
    usual = json.loads(json.dumps(card_settings(config, settings)))
    assert {name for name in usual.keys() | card.settings.keys() if usual.get(name) != card.settings.get(name)} <= (
        {"steps", "lr", "seed", "world"} if card.remarks else set()
    )
    assert card.minutes * card.cores <= 2 * 30  # half an hour on two cores
    assert card.losses[-1] < card.losses[0]


@pytest.mark.parametrize("part", PARTS)
def test_the_part_reaches_its_cards_score(part: str) -> None:
    config, settings = compose_pretraining(part)
    score, families = measure_saved(build_pretext(config)[0], config, settings, SHIPPED)
    assert score == pytest.approx(read_card(SHIPPED, part).score, abs=TOLERANCE)
    assert families.keys() == read_card(SHIPPED, part).families.keys()


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MEGABYTES * 2**20


@pytest.mark.slow
def test_self_distillation_beats_an_untrained_expert() -> None:
    """A probe finds a good deal in random features too: the part must be better."""
    config, settings = compose_pretraining("dinov2")
    fresh = build_pretext(config)[0].eval()
    with torch.inference_mode():
        untrained = fresh.score(draw_images(fresh, config, "held-out", LARGER["dinov2"]).groups(GROUP))
    assert measure_saved(build_pretext(config)[0], config, settings, SHIPPED)[0] > untrained + 0.1


def test_an_empty_zoo_does_not_keep_a_part_from_being_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    for part in PARTS:
        build_pretext(compose_pretraining(part)[0])
    with pytest.raises(UserError, match="the zoo has no weights for clip, only for nothing"):
        build_factory(composed())


def test_a_run_starts_from_them_by_default() -> None:
    weights = read_weights(weights_file(SHIPPED, "sam"), "sam")
    key = "network.patch_embed.proj.weight"
    assert torch.equal(build_factory(composed()).build_expert("sam").state_dict()[key], weights[key].float())
    fresh = build_factory(composed("experts.sam.checkpoint=none")).build_expert("sam")
    assert not torch.equal(fresh.state_dict()[key], weights[key].float())
    words = read_weights(weights_file(SHIPPED, "llm"), "llm")["model.embed_tokens.weight"]
    for override, same in ((), True), (("llm.checkpoint=none",), False):
        network = build_factory(composed(*override)).build_language_model().network
        assert torch.equal(network.get_input_embeddings().weight, words.float()) == same


def test_a_part_that_does_not_fit_names_the_override_for_random_weights() -> None:
    with pytest.raises(UserError, match=r"or experts\.clip\.checkpoint=none to start from random weights"):
        build_factory(composed("experts.clip.width=96")).build_expert("clip")
    with pytest.raises(UserError, match=r"or llm\.checkpoint=none to start from random weights"):
        build_factory(composed("llm.depth=1")).build_language_model()


def test_a_part_that_the_zoo_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(UserError, match="the zoo has no weights for resnet, only for clip, convnext"):
        checkpoint_path("resnet", "zoo")
