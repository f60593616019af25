"""The language model's pretext task: slots with the words of a scene, and answers that are its only targets."""

from random import Random
from statistics import fmean

import pytest
import torch

from eaglebench.data.conversation import IGNORE, TEMPLATES
from eaglebench.data.sample import Sample
from eaglebench.data.synthetic.drawing import Mark
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.fusion.place import find_places
from eaglebench.language.places import embed_places
from eaglebench.zoo.slots import LAYOUTS, Layout, fill_slots
from eaglebench.zoo.text import CAPTION, SLOTS, Text, TextItem
from tests.helpers.pretexts import blank_scene, dataset_of, pretext_of


def make_pretext() -> Text:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    return pretext


def words_in(pretext: Text, scene: object, layout: Layout, seed: int) -> list[str]:
    """What each slot of a scene says."""
    tokenizer = pretext.language.tokenizer
    rows = fill_slots(scene, layout, pretext.word_id, tokenizer.pad_token_id, Random(seed)).tolist()
    return [tokenizer.decode([token for token in row if token != tokenizer.pad_token_id]) for row in rows]


def test_slots_hold_the_words_of_what_lies_there() -> None:
    pretext = make_pretext()
    scene = blank_scene(Mark(["star", "red"], (0, 0, 32, 32)), Mark(["blue", "=5"], (96, 32, 128, 128)))
    for seed in range(10):
        words = words_in(pretext, scene, Layout(4), seed)
        assert words[0] == " star red"
        assert [place for place, word in enumerate(words) if "blue" in word] in ([7, 11, 15], [7], [11], [15])
        assert sum("5" in word for word in words) == 1
        assert not any(word for place, word in enumerate(words) if place not in (0, 7, 11, 15))


def test_a_digit_of_a_form_does_not_say_which_field_it_belongs_to() -> None:
    pretext = make_pretext()
    scene = blank_scene(Mark(["total"], (0, 0, 32, 32)), Mark(["4"], (64, 0, 96, 32), field="total"))
    words = words_in(pretext, scene, Layout(4), 0)
    assert (words[0], words[2]) == (" total", "4")


def test_in_training_some_forms_name_it_to_learn_by() -> None:
    pretext = make_pretext()
    total = pretext.word_id("total")
    scene = blank_scene(Mark(["4"], (64, 0, 96, 32), field="total"))
    item = TextItem(Sample("", SLOTS, ()), "compact", scene, Layout(4), Random(0))
    named = [total in slots[2] for slots in pretext.train().fill([item] * 400) if slots is not None]
    assert 0.2 < fmean(named) < 0.4
    assert not any(total in slots[2] for slots in pretext.eval().fill([item] * 50) if slots is not None)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_slots_lie_as_the_visual_tokens_of_a_fusion_do(layout: Layout) -> None:
    """Each word is known at its place, by one of the experts at least."""
    pretext = make_pretext()
    scene = blank_scene(Mark(["star", "red"], (64, 0, 96, 32)))
    cell = find_places(torch.eye(64).reshape(64, 8, 8), layout.side, layout.copies, layout.interleaved)
    for seed in range(5):
        words = words_in(pretext, scene, layout, seed)
        assert len(words) == layout.slots == len(cell)
        where = [place for place, word in enumerate(words) if word]
        assert {word for place in where for word in ("star", "red") if word in words[place]} == {"star", "red"}
        inside = torch.zeros(8, 8)
        inside[0:2, 4:6] = 1  # of the table: where the object lies
        assert all(cell[place] @ inside.flatten() > 0 for place in where)


def test_the_language_model_is_trained_on_answers_alone() -> None:
    pretext = make_pretext()
    tokenizer = pretext.language.tokenizer
    seen = set()
    for kind in KINDS:
        for item in next(iter(dataset_of(pretext, 20, **{kind: 1.0}).groups(20))):
            encoded = pretext.collate([item]).batch
            targets = [label for label in encoded.labels[0].tolist() if label != IGNORE]
            end = TEMPLATES[item.template].end
            assert tokenizer.decode(targets) == "".join(f"{turn.answer}{end}" for turn in item.sample.turns)
            assert (encoded.images is None) == (item.sample.image is None)
            family = item.sample.turns[0].family
            about_cover = any("covers" in turn.question for turn in item.sample.turns)
            assert item.scene is None or family == CAPTION or not about_cover  # slots do not show what covers what
            seen.add((item.scene is not None, family == CAPTION))
    assert seen == {(True, True), (True, False), (False, False)}


def test_a_batch_has_the_layout_of_its_first_item() -> None:
    pretext = make_pretext()
    items = next(iter(dataset_of(pretext, 24, shapes=1.0).groups(24)))
    batch = pretext.collate(items)
    assert batch.layout == items[0].layout
    assert len({item.layout for item in items}) > 1
    assert batch.batch.images.shape[1] == batch.layout.slots
    assert batch.to("cpu").layout == batch.layout
    assert len(batch) == len(items)


def test_slots_become_the_sum_of_their_words_and_their_place_scaled_and_noisy_in_training() -> None:
    pretext = make_pretext().eval()
    pad = pretext.language.tokenizer.pad_token_id
    table = pretext.part.get_input_embeddings().weight
    slots = torch.full((1, 16, 3), pad)
    slots[0, 0, :2] = torch.tensor([5, 9])
    with torch.no_grad():
        pretext.model.offsets.normal_()
    places = find_places(embed_places(pretext.part, pretext.language.tokenizer, pretext.model.offsets), 4).detach()
    tokens = pretext.model.encode_images(slots)
    torch.testing.assert_close(tokens[0, 0], table[5] + table[9] + places[0])
    torch.testing.assert_close(tokens[0, 1:], places[1:])
    pretext.train()
    torch.manual_seed(0)
    many = pretext.model.encode_images(slots.expand(500, -1, -1)) - places
    clean = table[5] + table[9]
    along = (many[:, 0] @ clean) / clean.square().sum()
    assert 0.4 < along.min() < 0.7
    assert 1.8 < along.max() < 2.2
    assert many[:, 1].std() > 0.05 * table.std()


def test_a_score_by_family_counts_transcriptions_apart() -> None:
    pretext = make_pretext().eval()
    groups = list(dataset_of(pretext, 40, shapes=1.0).groups(40))
    score, families = pretext.measure(groups)
    assert score == pretext.score(groups)
    assert CAPTION in families and {"counting", "attributes", "position"} & families.keys()
    assert all(0 <= share <= 1 for share in families.values())


def test_only_the_offsets_of_places_are_trained_beside_the_language_model() -> None:
    assert set(make_pretext().head.state_dict()) == {"places.offsets"}
