"""SAM's pretext task: points, their masks, and the IoU."""

from random import Random

import pytest
import torch
from torch import Tensor, nn

from eaglebench.data.synthetic.drawing import Mark
from eaglebench.zoo.pretext import TensorBatch
from eaglebench.zoo.segmentation import MASK, Segmentation
from tests.helpers.pretexts import blank_scene, pretext_of


def test_masks_lie_where_the_points_are() -> None:
    """Rows are rows: the object is far from the diagonal."""
    pretext = pretext_of("sam")
    item = pretext.make_item(blank_scene(Mark(["red"], (96, 0, 128, 16))), Random(0))
    for point, mask in zip(item["points"], item["masks"], strict=True):
        x, y = (point * MASK).long().tolist()
        assert mask[y, x]
        assert set(map(tuple, mask.nonzero().tolist())) == {
            (row, column) for row in range(4) for column in range(24, 32)
        }


@pytest.mark.parametrize("transposed", [False, True])
def test_a_point_picks_the_features_that_it_lies_on(monkeypatch: pytest.MonkeyPatch, transposed: bool) -> None:
    """With features that are the mask itself, a point on the object has a query that only its own place gives."""
    pretext = pretext_of("sam")
    assert isinstance(pretext, Segmentation)
    fine = torch.zeros(1, 64, MASK, MASK)
    fine[:, :, :4, 24:] = 1
    inputs: list[Tensor] = []
    monkeypatch.setattr(pretext, "encode", lambda images: images)
    monkeypatch.setattr(torch.nn.functional, "pixel_shuffle", lambda *_: fine)
    pretext.masks = nn.Identity()
    pretext.query.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    point = torch.tensor([[[0.9, 0.05]]])
    pretext.predict(TensorBatch(images=fine, points=point.flip(-1) if transposed else point))
    assert inputs[0][0, 0, :64].max() == (0 if transposed else 1)


def test_a_perfect_segmentation_scores_one_and_half_a_mask_half(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("sam")
    assert isinstance(pretext, Segmentation)
    item = pretext.make_item(blank_scene(Mark(["red"], (0, 0, 64, 64))), Random(0))
    assert item["masks"].shape[1:] == (MASK, MASK)
    assert torch.equal(item["masks"][0], torch.nn.functional.pad(torch.ones(16, 16), (0, 16, 0, 16)).bool())
    assert bool(((item["points"] > 0) & (item["points"] < 0.5)).all())
    half = item["masks"].clone()
    half[:, 8:] = False
    for predicted, expected in ((item["masks"], 1.0), (half, 0.5), (~item["masks"], 0.0)):
        monkeypatch.setattr(pretext, "predict", lambda batch, predicted=predicted: (predicted.float() - 0.5)[None])
        assert pretext.score([[item]]) == pytest.approx(expected)
