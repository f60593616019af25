"""Sequence append gives each expert tokens of its own."""

import torch

from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.sequence_append import SequenceAppend
from tests.helpers.fusions import build


def test_each_expert_has_its_own_run_of_tokens() -> None:
    fusion, features = build(SequenceAppend, 3)
    tokens = fusion.fuse(features)
    changed = fusion.fuse(features | {"b": torch.randn_like(features["b"])})
    assert torch.equal(tokens[:, :16], changed[:, :16])
    assert torch.equal(tokens[:, 32:], changed[:, 32:])
    assert not torch.equal(tokens[:, 16:32], changed[:, 16:32])
    expected = fusion.projectors["a"](features["a"].flatten(2).transpose(1, 2))
    assert torch.equal(tokens[:, :16], expected)


def test_interleaved_the_tokens_of_a_place_follow_each_other() -> None:
    fusion, features = build(SequenceAppend, 3)
    runs = fusion.fuse(features).split(16, dim=1)
    fusion.interleaved = True
    tokens = fusion.fuse(features)
    for index, run in enumerate(runs):
        assert torch.equal(tokens[:, index::3], run)


def test_one_expert_alone_is_channel_concat() -> None:
    concat, features = build(ChannelConcat, 1)
    append, _ = build(SequenceAppend, 1)
    append.projectors["a"].load_state_dict(concat.projector.state_dict())
    assert torch.equal(append.fuse(features), concat.fuse(features))
