"""The pretext tasks: what they ask for, that it can be learned, and that a perfect answer has a perfect score."""

from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from eaglebench.config.build import build_pretext
from eaglebench.config.compose import options
from eaglebench.data.conversation import IGNORE
from eaglebench.data.synthetic.drawing import Mark, Picture, box_regions
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.data.synthetic.shapes import PLACES
from eaglebench.training.parameter_groups import parameter_groups
from eaglebench.zoo.captions import caption, description, sentences
from eaglebench.zoo.cells import CELLS, LABELS, cell_targets, f1
from eaglebench.zoo.contrastive import Contrastive
from eaglebench.zoo.detection import Detection
from eaglebench.zoo.distillation import Distillation, balanced, probed
from eaglebench.zoo.pretext import Fields, Pictures, Pretext, cell_shares
from eaglebench.zoo.segmentation import MASK, Segmentation
from eaglebench.zoo.text import Text
from eaglebench.zoo.transcription import NOTHING, Transcription, transcript
from tests.conftest import EXPERTS, composed

PARTS = options("part")


def pretext_of(part: str) -> Pretext:
    return build_pretext(composed(f"part={part}"))[0]


def pictures_of(pretext: Pretext, length: int = 8, **kinds: float) -> Pictures:
    return Pictures(pretext, kinds or dict.fromkeys(KINDS, 1.0), 128, "test", length)


def drawn(*marks: Mark) -> Picture:
    """A blank picture of 128 pixels with things that fill their boxes."""
    return Picture(Image.new("RGB", (128, 128)), [], list(marks), box_regions(128, marks))


def test_every_expert_of_the_zoo_has_a_pretext_task() -> None:
    assert set(PARTS) == {*EXPERTS, "llm"}


@pytest.mark.parametrize("part", PARTS)
def test_gradient_reaches_the_part_and_its_head(part: str) -> None:
    pretext = pretext_of(part).train()
    items = pictures_of(pretext)
    pretext(pretext.collate([items[index] for index in range(8)])).backward()
    for name, module in (("part", pretext.part), ("head", pretext.head)):
        idle = [key for key, value in module.named_parameters() if value.requires_grad and value.grad is None]
        assert idle == [], name
    assert bool(pretext.head.state_dict()) == (part != "llm")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_learns_a_few_pictures(part: str) -> None:
    pretext = pretext_of(part).train()
    items = pictures_of(pretext)
    batch = pretext.collate([items[index] for index in range(8)])
    optimizer = torch.optim.AdamW([p for p in pretext.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(20):
        loss = pretext(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.96 * losses[0]


@pytest.mark.parametrize("part", PARTS)
@torch.inference_mode()
def test_a_score_is_a_share(part: str) -> None:
    pretext = pretext_of(part).eval()
    assert 0 <= pretext.score(pictures_of(pretext, 6).groups(4)) <= 1


def test_pictures_are_the_same_each_time_and_other_seeds_give_others() -> None:
    pretext = pretext_of("pix2struct")
    first, second = (Pictures(pretext, {"text": 1}, 64, seed, 3) for seed in ("a", "b"))
    assert torch.equal(first[1]["images"], first[1]["images"])
    assert not any(torch.equal(first[i]["images"], second[j]["images"]) for i in range(3) for j in range(3))
    assert [len(group) for group in first.groups(2)] == [2, 1]


def test_a_picture_in_words() -> None:
    form = drawn(*(Mark([label], (0, 0, 9, 9)) for label in ("total", "4", "7", "date", "1", "0")))
    assert sentences(form.marks) == ["total 47", "date 10"]
    assert transcript(form) == "total 47\ndate 10"
    board = KINDS["shapes"](Random(1), 128)
    shape, colour = board.marks[0].labels
    assert f"{colour} {shape}" in caption(board, Random(0)).split(", ")
    assert len(caption(board, Random(0)).split(", ")) == len(board.marks)
    assert transcript(board) == NOTHING


def test_a_description_answers_every_question_about_places_and_areas() -> None:
    for seed in range(30):
        board = KINDS["shapes"](Random(seed), 128)
        told = description(board, Random(0)).split(", ")
        for question in board.questions:
            if question.family == "position":
                key = question.text.split()[-1]
                assert [line.split()[-1] for line in told if key in line.split()] == [question.answer]
        pile = KINDS["pile"](Random(seed), 128)
        told = description(pile, Random(0)).split(", ")
        assert all(f"{question.text} {question.answer}" in told for question in pile.questions)


def test_shares_of_cells() -> None:
    picture = drawn(Mark(["red"], (0, 0, 64, 32)), Mark(["blue"], (64, 96, 80, 128)))
    shares = cell_shares(picture, 4)
    expected = np.zeros((2, 4, 4))
    expected[0, 0, :2] = 1
    expected[1, 3, 2] = 0.5
    assert np.array_equal(shares, expected)


def test_cell_targets() -> None:
    targets = cell_targets(drawn(Mark(["red", "=3"], (16, 32, 48, 48)), Mark(["7"], (120, 0, 124, 6), "date")))
    found = {(LABELS[label], *cell) for label, *cell in targets.nonzero().tolist()}
    assert found == {
        *(("red", 2, 1), ("red", 2, 2), ("=3", 2, 1), ("=3", 2, 2)),
        *(("7", 0, 7), ("date", 0, 7)),  # a value's field is known where the value is
    }
    assert targets.shape == (len(LABELS), CELLS, CELLS)


def test_f1() -> None:
    one, other = torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([1, 0, 1, 0]).bool()
    assert f1([(one, one)]) == 1
    assert f1([(one, ~one)]) == 0
    assert f1([(one, other), (one, one)]) == pytest.approx(0.75)
    assert f1([]) == 0


class Oracle(nn.Module):
    """A part that gives what it was told to."""

    def __init__(self, answer: Tensor | tuple[Tensor, ...]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.answer


def test_masks_lie_where_the_points_are() -> None:
    """Rows are rows: the thing is far from the diagonal."""
    pretext = pretext_of("sam")
    item = pretext.item(drawn(Mark(["red"], (96, 0, 128, 16))), Random(0))
    for point, mask in zip(item["points"], item["masks"], strict=True):
        x, y = (point * MASK).long().tolist()
        assert mask[y, x]
        assert set(map(tuple, mask.nonzero().tolist())) == {
            (row, column) for row in range(4) for column in range(24, 32)
        }


@pytest.mark.parametrize("turned", [False, True])
def test_a_point_picks_the_features_that_it_lies_on(monkeypatch: pytest.MonkeyPatch, turned: bool) -> None:
    """With features that are the mask itself, a point on the thing has a query that only its own place gives."""
    pretext = pretext_of("sam")
    assert isinstance(pretext, Segmentation)
    fine = torch.zeros(1, 64, MASK, MASK)
    fine[:, :, :4, 24:] = 1
    asked: list[Tensor] = []
    monkeypatch.setattr(pretext, "features", lambda images: images)
    monkeypatch.setattr(torch.nn.functional, "pixel_shuffle", lambda *_: fine)
    pretext.masks = nn.Identity()
    pretext.query.register_forward_pre_hook(lambda module, args: asked.append(args[0]))
    point = torch.tensor([[[0.9, 0.05]]])
    pretext.logits(Fields(images=fine, points=point.flip(-1) if turned else point))
    assert asked[0][0, 0, :64].max() == (0 if turned else 1)


def test_a_perfect_segmentation_scores_one_and_half_a_mask_half(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("sam")
    assert isinstance(pretext, Segmentation)
    picture = drawn(Mark(["red"], (0, 0, 64, 64)))
    item = pretext.item(picture, Random(0))
    assert item["masks"].shape[1:] == (MASK, MASK)
    assert torch.equal(item["masks"][0], torch.nn.functional.pad(torch.ones(16, 16), (0, 16, 0, 16)).bool())
    assert bool(((item["points"] > 0) & (item["points"] < 0.5)).all())
    half = item["masks"].clone()
    half[:, 8:] = False
    for said, expected in ((item["masks"], 1.0), (half, 0.5), (~item["masks"], 0.0)):
        monkeypatch.setattr(pretext, "logits", lambda batch, said=said: (said.float() - 0.5)[None])
        assert pretext.score([[item]]) == pytest.approx(expected)


def test_detections_count_once_each_with_the_right_class(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    item = pretext.item(drawn(Mark(["star", "red"], (0, 0, 32, 32)), Mark(["3"], (96, 96, 112, 128))), Random(0))
    found = torch.full((1, CELLS, CELLS), -9.0)
    classes, boxes = torch.zeros(1, CELLS, CELLS, 10), torch.zeros(1, CELLS, CELLS, 4)

    def say(row: int, column: int, number: int, box: tuple[float, ...]) -> None:
        found[0, row, column], classes[0, row, column, number] = 9, 9
        boxes[0, row, column] = torch.tensor(box)

    monkeypatch.setattr(pretext, "predictions", lambda images: (found, classes, boxes))
    star, digit = item["classes"][:2].tolist()
    say(1, 1, star, (0, 0, 0.25, 0.25))
    assert pretext.score([[item]]) == pytest.approx(2 / 3)
    say(6, 6, digit, (0.75, 0.75, 0.875, 1))
    assert pretext.score([[item]]) == 1
    say(0, 0, star, (0, 0, 0.24, 0.25))  # the same again: merged
    assert pretext.score([[item]]) == 1
    say(4, 4, digit, (0.2, 0.2, 0.9, 0.9))  # nothing there
    assert pretext.score([[item]]) == pytest.approx(4 / 5)
    say(6, 6, star, (0.75, 0.75, 0.875, 1))
    classes[0, 6, 6, digit] = 0  # the wrong class
    assert pretext.score([[item]]) < 0.5


@pytest.mark.parametrize("turned", [False, True])
def test_a_detection_is_learned_where_its_centre_lies(monkeypatch: pytest.MonkeyPatch, turned: bool) -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    box = torch.tensor([0.75, 0.0, 1.0, 0.25])  # its centre is in row 1, column 7
    found, classes = torch.full((1, CELLS, CELLS), -20.0), torch.zeros(1, CELLS, CELLS, 10)
    boxes = torch.zeros(1, CELLS, CELLS, 4)
    row, column = (7, 1) if turned else (1, 7)
    found[0, row, column], classes[0, row, column, 0], boxes[0, row, column] = 20, 20, box
    monkeypatch.setattr(pretext, "predictions", lambda images: (found, classes, boxes))
    item = pretext.item(drawn(Mark(["circle", "red"], (96, 0, 128, 32))), Random(0))
    loss = float(pretext(Fields.stacked([item])))
    assert (loss > 1) if turned else (loss < 1e-3)


def test_boxes_are_around_the_centres_of_their_cells() -> None:
    pretext = pretext_of("eva02")
    assert isinstance(pretext, Detection)
    with torch.no_grad():
        for parameter in pretext.predictor.parameters():
            parameter.zero_()
        _, _, boxes = pretext.predictions(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))
    middle = (boxes[0, 1, 6, :2] + boxes[0, 1, 6, 2:]) / 2
    torch.testing.assert_close(middle, torch.tensor([6.5, 1.5]) / CELLS)


def test_what_is_written_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("sam_vary")
    assert isinstance(pretext, Transcription)
    items = [
        pretext.item(KINDS[kind](Random(seed), 128), Random(0)) for kind in ("text", "shapes") for seed in range(2)
    ]
    words = Fields.stacked(items).words
    monkeypatch.setattr(pretext.opt, "generate", lambda **_: words)
    assert pretext.score([items]) == 1
    wrong = words.clone()
    wrong[0, 0] = words[2, 0]
    monkeypatch.setattr(pretext.opt, "generate", lambda **_: wrong)
    assert pretext.score([items]) == 0.75


def test_captions_that_are_nearest_score_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("clip")
    assert isinstance(pretext, Contrastive)
    items = [pictures_of(pretext)[index] for index in range(4)]
    monkeypatch.setattr(pretext, "embedded", lambda batch: (torch.eye(4), torch.eye(4)))
    assert pretext.score([items]) == 1
    monkeypatch.setattr(pretext, "embedded", lambda batch: (torch.eye(4), torch.eye(4)[[1, 0, 2, 3]]))
    assert pretext.score([items]) == 0.5


def test_balanced_assignments_use_all_prototypes_alike() -> None:
    torch.manual_seed(0)
    shares = balanced(torch.randn(512, 8) * 0.05 + torch.linspace(-0.1, 0.1, 8))
    torch.testing.assert_close(shares.sum(1), torch.ones(512))
    assert shares.sum(0).max() / shares.sum(0).min() < 1.2


def test_the_teacher_follows_the_student_in_training_alone() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    slow, fast = next(pretext.slow_part.parameters()), next(pretext.part.parameters())
    with torch.no_grad():
        fast += 1
    before = slow.clone()
    pretext.eval().follow()
    assert torch.equal(slow, before)
    pretext.train().follow()
    torch.testing.assert_close(slow, before + 0.01 * (fast - before))
    assert not any(parameter.requires_grad for parameter in pretext.slow_part.parameters())


def test_prototypes_stay_cosines_in_training() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    groups = parameter_groups({"part": pretext.part, "head": pretext.head}, {"part": 0.1, "head": 0.1}, 0.1)
    optimizer = torch.optim.AdamW(groups)
    batch = pretext.collate([pictures_of(pretext)[index] for index in range(2)])
    for _ in range(2):
        pretext.train()(batch).backward()
        optimizer.step()
    assert pretext.places(torch.randn(50, pretext.part.channels)).abs().max() <= 1 + 1e-5


def test_a_probe_is_linear_and_is_asked_about_pictures_that_it_was_not_fitted_to() -> None:
    torch.manual_seed(0)
    features = torch.randn(200, 4, 8)
    linear = (features[..., 0] > 0).long()
    assert probed(features, linear) > 0.9
    assert 0.4 < probed(features, (features[..., :2].prod(dim=-1) > 0).long()) < 0.6
    chance = torch.randint(2, (200, 4))
    assert 0.4 < probed(features, chance) < 0.6
    # Places without a thing play no part.
    hidden = torch.rand(200, 4) < 0.5
    wrong = torch.where(hidden, -1, linear)
    features[hidden] = 1e3
    assert probed(features, wrong) > 0.9


def test_the_student_does_not_see_what_it_is_asked_for() -> None:
    pretext = pretext_of("dinov2")
    assert isinstance(pretext, Distillation)
    seen: list[Tensor] = []
    pretext.part.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    batch = pretext.collate([pictures_of(pretext)[index] for index in range(2)])
    pretext(batch)
    cell = pretext.part.image_size // pretext.part.grid
    for sample, row, column in batch.hidden.nonzero().tolist():
        patch = seen[0][sample, :, row * cell + 2 : (row + 1) * cell - 2, column * cell + 2 : (column + 1) * cell - 2]
        assert patch.flatten(1).std(dim=1).max() < 1e-3


def test_slots_hold_the_words_of_what_lies_there() -> None:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    tokenizer = pretext.language.tokenizer
    picture = drawn(Mark(["star", "red"], (0, 0, 32, 32)), Mark(["blue", "=5"], (96, 32, 128, 128)))
    for seed in range(10):
        rows = pretext.slots(picture, Random(seed))
        words = [tokenizer.decode([i for i in row if i != tokenizer.pad_token_id]) for row in rows.tolist()]
        assert words[0] == "starred"
        assert [place for place, word in enumerate(words) if "blue" in word] in ([7, 11, 15], [7], [11], [15])
        assert sum("5" in word for word in words) == 1
        assert not any(word for place, word in enumerate(words) if place not in (0, 7, 11, 15))


def test_slots_of_a_board_name_its_cells() -> None:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    tokenizer = pretext.language.tokenizer
    for seed in range(5):
        rows = pretext.slots(KINDS["shapes"](Random(seed), 128), Random(0)).tolist()
        words = [tokenizer.decode([i for i in row if i != tokenizer.pad_token_id]) for row in rows]
        assert all(word.endswith(PLACES[place]) for place, word in enumerate(words) if word)


def test_the_language_model_is_trained_on_answers_alone() -> None:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    for kind in KINDS:
        for item, sample in pictures_of(pretext, 12, **{kind: 1.0}).groups(12).__iter__().__next__():
            targets = [label for label in item.encoded.labels if label != IGNORE]
            text = pretext.language.tokenizer.decode(targets)
            assert text == "".join(f"{turn.answer}<|end|>" for turn in sample.turns)
            assert (item.image is None) == (sample.image is None)
            assert item.image is None or kind != "pile"  # areas are not to be seen in slots


def test_slots_become_the_sum_of_their_words_scaled_and_noisy_in_training() -> None:
    pretext = pretext_of("llm").eval()
    assert isinstance(pretext, Text)
    pad = pretext.language.tokenizer.pad_token_id
    table = pretext.part.get_input_embeddings().weight
    slots = torch.tensor([[[5, 9, pad], [pad, pad, pad]]])
    tokens = pretext.model.visual_tokens(slots)
    torch.testing.assert_close(tokens[0, 0], table[5] + table[9])
    assert not tokens[0, 1].any()
    pretext.train()
    torch.manual_seed(0)
    many = pretext.model.visual_tokens(slots.expand(500, -1, -1))
    along = (many[:, 0] @ tokens[0, 0]) / tokens[0, 0].square().sum()
    assert 0.4 < along.min() < 0.7 and 1.8 < along.max() < 2.2
    assert many[:, 1].std() > 0.1 * table.std()
