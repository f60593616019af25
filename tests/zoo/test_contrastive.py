"""CLIP's pretext task: the score is the share of scenes whose own caption is the nearest."""

import pytest
import torch

from eaglebench.zoo.contrastive import Contrastive
from tests.helpers.pretexts import dataset_of, pretext_of


def test_captions_that_are_nearest_score_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = pretext_of("clip")
    assert isinstance(pretext, Contrastive)
    items = [dataset_of(pretext)[index] for index in range(4)]
    monkeypatch.setattr(pretext, "embed", lambda batch: (torch.eye(4), torch.eye(4)))
    assert pretext.score([items]) == 1
    monkeypatch.setattr(pretext, "embed", lambda batch: (torch.eye(4), torch.eye(4)[[1, 0, 2, 3]]))
    assert pretext.score([items]) == 0.5
