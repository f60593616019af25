"""The language model's pretext task: slots with the words of a scene, and answers that are its only targets."""

from random import Random

import torch

from eaglebench.data.conversation import IGNORE
from eaglebench.data.synthetic.drawing import Mark
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.data.synthetic.shapes import PLACES
from eaglebench.zoo.text import Text
from tests.helpers.pretexts import blank_scene, dataset_of, pretext_of


def test_slots_hold_the_words_of_what_lies_there() -> None:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    tokenizer = pretext.language.tokenizer
    scene = blank_scene(Mark(["star", "red"], (0, 0, 32, 32)), Mark(["blue", "=5"], (96, 32, 128, 128)))
    for seed in range(10):
        rows = pretext.fill_slots(scene, Random(seed))
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
        rows = pretext.fill_slots(KINDS["shapes"](Random(seed), 128), Random(0)).tolist()
        words = [tokenizer.decode([i for i in row if i != tokenizer.pad_token_id]) for row in rows]
        assert all(word.endswith(PLACES[place]) for place, word in enumerate(words) if word)


def test_the_language_model_is_trained_on_answers_alone() -> None:
    pretext = pretext_of("llm")
    assert isinstance(pretext, Text)
    for kind in KINDS:
        for item, sample in next(iter(dataset_of(pretext, 12, **{kind: 1.0}).groups(12))):
            targets = [label for label in item.encoded.labels if label != IGNORE]
            text = pretext.language.tokenizer.decode(targets)
            assert text == "".join(f"{turn.answer}<|end|>" for turn in sample.turns)
            assert (item.image is None) == (sample.image is None)
            assert item.image is None or kind != "pile"  # slots do not show areas


def test_slots_become_the_sum_of_their_words_scaled_and_noisy_in_training() -> None:
    pretext = pretext_of("llm").eval()
    assert isinstance(pretext, Text)
    pad = pretext.language.tokenizer.pad_token_id
    table = pretext.part.get_input_embeddings().weight
    slots = torch.tensor([[[5, 9, pad], [pad, pad, pad]]])
    tokens = pretext.model.encode_images(slots)
    torch.testing.assert_close(tokens[0, 0], table[5] + table[9])
    assert not tokens[0, 1].any()
    pretext.train()
    torch.manual_seed(0)
    many = pretext.model.encode_images(slots.expand(500, -1, -1))
    along = (many[:, 0] @ tokens[0, 0]) / tokens[0, 0].square().sum()
    assert 0.4 < along.min() < 0.7
    assert 1.8 < along.max() < 2.2
    assert many[:, 1].std() > 0.1 * table.std()
