"""Each visual token gets the vector of the cell that it lies in, whatever the fusion and its grid."""

import numpy as np
import pytest
import torch

from eaglebench.fusion.base import Fusion
from eaglebench.fusion.mova import Mova
from eaglebench.fusion.place import PlaceEmbedding, find_places, resize_table
from eaglebench.fusion.sequence_append import SequenceAppend
from eaglebench.profiling.bench.fusion_subject import PrecomputedExpert
from tests.helpers.fusions import FUSIONS, GRID, WIDTH, build, maps_of

EXPERTS = "abc"


def places_of(fusion: Fusion) -> torch.Tensor:
    """What random vectors of places add to the visual tokens [N, D]."""
    assert fusion.places is not None
    inputs = {name: PrecomputedExpert() for name in EXPERTS}, maps_of(EXPERTS)
    plain = fusion(*inputs)
    with torch.no_grad():
        fusion.places.table.normal_()
    added = fusion(*inputs) - plain
    torch.testing.assert_close(added, added[:1].expand_as(added), atol=1e-5, rtol=0)
    return added[0].detach()


@pytest.mark.parametrize("cls", FUSIONS)
def test_every_token_gets_the_vector_of_its_cell(cls: type[Fusion]) -> None:
    fusion, _ = build(cls, EXPERTS, place="learned")
    added = places_of(fusion)
    side = GRID // 2 if cls is Mova else GRID
    table = fusion.places.table.detach()
    cells = torch.stack([table[:, row, column] for row in range(side) for column in range(side)])
    expected = torch.cat([cells] * len(EXPERTS)) if cls is SequenceAppend else cells
    torch.testing.assert_close(added, expected, atol=1e-5, rtol=0)


def test_tokens_of_a_cell_that_follow_each_other_share_its_vector() -> None:
    fusion, _ = build(SequenceAppend, EXPERTS, place="learned", interleaved=True)
    added = places_of(fusion)
    cells = fusion.places.table.detach().flatten(1).T
    torch.testing.assert_close(added, cells.repeat_interleave(len(EXPERTS), 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cls", FUSIONS)
def test_without_places_nothing_is_added_and_nothing_more_is_trained(cls: type[Fusion]) -> None:
    fusion, _ = build(cls, EXPERTS, place="none")
    assert fusion.places is None
    learned, _ = build(cls, EXPERTS, place="learned")
    assert learned.state_dict().keys() - fusion.state_dict().keys() == {"places.table"}


def test_learned_vectors_start_at_zero_or_from_a_language_models() -> None:
    places = PlaceEmbedding("learned", side=4, width=WIDTH)
    assert not places.table.any()
    table = torch.randn(WIDTH, 8, 8)
    places.start_from(table)
    torch.testing.assert_close(places.table.detach(), resize_table(table, 4))
    assert places.table.requires_grad


def test_sines_and_cosines_are_fixed_and_those_of_rows_and_columns() -> None:
    places = PlaceEmbedding("sincos", side=5, width=16)
    before = places.table.clone()
    places.start_from(torch.randn(16, 8, 8))
    assert torch.equal(places.table, before)
    assert not list(places.parameters())
    rates = 10000.0 ** -(np.arange(4) / 4)
    for row in range(5):
        for column in range(5):
            waves = [wave(axis * rates) for axis in (column, row) for wave in (np.sin, np.cos)]
            np.testing.assert_allclose(np.sort(places.table[:, row, column]), np.sort(np.concatenate(waves)), atol=1e-6)


def test_a_table_is_resized_to_the_grid() -> None:
    """Cells of a finer grid lie between those of the table; a coarser one averages."""
    rows = torch.arange(8.0)[None, :, None].expand(1, 8, 8)
    np.testing.assert_allclose(resize_table(rows, 16)[0, :, 0].diff()[1:-1], 0.5, atol=1e-5)
    coarse = resize_table(rows, 4)[0, :, 0]
    np.testing.assert_allclose(coarse[1:3], [2.5, 4.5], atol=1e-5)
    assert find_places(rows, 4, copies=2).flatten().tolist() == pytest.approx(
        [*coarse.repeat_interleave(4).tolist()] * 2
    )
