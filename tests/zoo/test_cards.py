"""The weights that ship: whole, small, and as good as their cards say."""

import inspect
import json
from pathlib import Path

import pytest
import torch
from hydra.utils import get_object

from eaglebench.config.build import build_pretext, build_workshop, checkpoint_of
from eaglebench.config.compose import options
from eaglebench.tasks.pretrain import card_settings, measured, pictures
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import file_digest
from eaglebench.weights.files import read_weights
from eaglebench.zoo import cards
from eaglebench.zoo.cards import SHIPPED, read_card, weights_file
from eaglebench.zoo.pretext import GROUP
from tests.conftest import composed

PARTS = options("part")
MEGABYTES = 40
SAMPLE = 128  # pictures
LARGER = {"dinov2": 512}  # the probe needs pictures
TOLERANCE = 0.08  # about twice the standard error of a share of one half


@pytest.mark.parametrize("part", PARTS)
def test_the_files_are_those_of_the_card(part: str) -> None:
    card = read_card(SHIPPED, part)
    assert card.part == part
    assert weights_file(SHIPPED, part).name in card.sha256
    assert {name: file_digest(SHIPPED / name) for name in card.sha256} == dict(card.sha256)
    weights = read_weights(weights_file(SHIPPED, part), part)
    assert sum(tensor.numel() for tensor in weights.values()) == card.parameters
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


@pytest.mark.parametrize("part", PARTS)
def test_the_card_says_how_it_was_made(part: str) -> None:
    card = read_card(SHIPPED, part)
    assert card.command == f"python -m eaglebench task=pretrain part={part}"
    cfg = composed(f"part={part}")
    now = json.loads(json.dumps(build_pretext(cfg)[1]))
    usual = {name: one.default for name, one in inspect.signature(get_object(now["_target_"])).parameters.items()}
    # An argument that came later has its default.
    assert now == {name: usual[name] for name in now.keys() - card.config.keys()} | dict(card.config)
    assert card.settings == card_settings(cfg)
    assert card.minutes * card.cores <= 2 * 30  # half an hour on two cores
    assert card.losses[-1] < card.losses[0]


@pytest.mark.parametrize("part", PARTS)
def test_the_part_reaches_its_cards_score(part: str) -> None:
    cfg = composed(f"part={part}")
    score = measured(build_pretext(cfg)[0], cfg, SHIPPED, LARGER.get(part, SAMPLE))
    assert score == pytest.approx(read_card(SHIPPED, part).score, abs=TOLERANCE)


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MEGABYTES * 2**20


def test_self_distillation_beats_an_untrained_expert() -> None:
    """A probe finds a good deal in random features too: the part must be better."""
    cfg = composed("part=dinov2")
    fresh = build_pretext(cfg)[0].eval()
    with torch.inference_mode():
        untrained = fresh.score(pictures(fresh, cfg, "held-out", LARGER["dinov2"]).groups(GROUP))
    assert measured(build_pretext(cfg)[0], cfg, SHIPPED, LARGER["dinov2"]) > untrained + 0.1


def test_an_empty_zoo_does_not_keep_a_part_from_being_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cards, "SHIPPED", tmp_path)
    for part in PARTS:
        build_pretext(composed(f"part={part}"))
    with pytest.raises(UserError, match="the zoo has no weights for clip, but for nothing"):
        build_workshop(composed())


def test_they_are_what_a_run_starts_from_unless_told_otherwise() -> None:
    shipped = read_weights(weights_file(SHIPPED, "sam"), "sam")
    key = "network.patch_embed.proj.weight"
    assert torch.equal(build_workshop(composed()).expert("sam").state_dict()[key], shipped[key].float())
    fresh = build_workshop(composed("experts.sam.checkpoint=none")).expert("sam")
    assert not torch.equal(fresh.state_dict()[key], shipped[key].float())
    words = read_weights(weights_file(SHIPPED, "llm"), "llm")["model.embed_tokens.weight"]
    for override, same in ((), True), (("llm.checkpoint=none",), False):
        network = build_workshop(composed(*override)).language().network
        assert torch.equal(network.get_input_embeddings().weight, words.float()) == same


def test_what_does_not_fit_them_says_how_to_go_on() -> None:
    with pytest.raises(UserError, match=r"or experts\.clip\.checkpoint=none to start from random weights"):
        build_workshop(composed("experts.clip.width=96")).expert("clip")
    with pytest.raises(UserError, match=r"or llm\.checkpoint=none to start from random weights"):
        build_workshop(composed("llm.depth=1")).language()


def test_a_part_that_the_zoo_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(UserError, match="the zoo has no weights for resnet, but for clip, convnext"):
        checkpoint_of("resnet", "zoo")
