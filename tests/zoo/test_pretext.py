"""Every pretext task: its gradients, that it can be learned, its score, and the scenes that it is drawn from."""

import numpy as np
import pytest
import torch

from eaglebench.config.compose import options
from eaglebench.data.synthetic.cell_shares import compute_cell_shares
from eaglebench.data.synthetic.drawing import Mark
from eaglebench.zoo.pretext import SceneDataset
from tests.conftest import EXPERTS
from tests.helpers.pretexts import blank_scene, dataset_of, pretext_of

PARTS = options("pretrain")


def test_every_expert_of_the_zoo_has_a_pretext_task() -> None:
    assert set(PARTS) == {*EXPERTS, "llm"}


@pytest.mark.parametrize("part", PARTS)
def test_gradient_reaches_the_part_and_its_head(part: str) -> None:
    pretext = pretext_of(part).train()
    items = dataset_of(pretext)
    pretext(pretext.collate([items[index] for index in range(8)])).backward()
    for name, module in (("part", pretext.part), ("head", pretext.head)):
        idle = [key for key, value in module.named_parameters() if value.requires_grad and value.grad is None]
        assert idle == [], name
    assert pretext.head.state_dict()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_learns_a_few_scenes(part: str) -> None:
    pretext = pretext_of(part).train()
    items = dataset_of(pretext)
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
    assert 0 <= pretext.score(dataset_of(pretext, 6).groups(4)) <= 1


def test_scenes_are_the_same_each_time_and_other_seeds_give_others() -> None:
    pretext = pretext_of("pix2struct")
    first, second = (SceneDataset(pretext, {"text": 1}, 64, seed, 3) for seed in ("a", "b"))
    assert torch.equal(first[1]["images"], first[1]["images"])
    assert not any(torch.equal(first[i]["images"], second[j]["images"]) for i in range(3) for j in range(3))
    assert [len(group) for group in first.groups(2)] == [2, 1]


def test_shares_of_cells() -> None:
    scene = blank_scene(Mark(["red"], (0, 0, 64, 32)), Mark(["blue"], (64, 96, 80, 128)))
    shares = compute_cell_shares(scene, 4)
    expected = np.zeros((2, 4, 4))
    expected[0, 0, :2] = 1
    expected[1, 3, 2] = 0.5
    assert np.array_equal(shares, expected)


def test_shares_of_cells_that_do_not_divide_the_image() -> None:
    scene = blank_scene(Mark(["red"], (0, 0, 64, 128)))
    shares = compute_cell_shares(scene, 6)
    np.testing.assert_allclose(shares[0].mean(axis=0), [1, 1, 1, 0, 0, 0], atol=0.06)
