"""What a fusion costs is measured on its own weights, and beside the same computed as it is described."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from eaglebench.config.build import build_workshop
from eaglebench.fusion.base import Fusion, MapShape, Outline
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.llava_hr import LlavaHr
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.model.factory import outline
from eaglebench.profiling.bench.fusion_subject import StandIn, subject, ways
from eaglebench.profiling.bench.measure import OURS, Cost, apart, first_pass, short_passes
from tests.conftest import FUSIONS, Outcome, composed
from tests.helpers.fusions import ARGUMENTS

OUTLINES = {
    "a": Outline(8, 4, (MapShape(2, 8),), blocks=4, block_map=MapShape(6, 8)),
    "b": Outline(4, 4, (MapShape(3, 16), MapShape(2, 8), MapShape(4, 4))),
}


@pytest.mark.parametrize("cls", list(ARGUMENTS))
def test_every_way_gives_the_same(cls: type[Fusion]) -> None:
    made = subject(partial(cls, grid=4, **ARGUMENTS[cls]), OUTLINES, 16, 2, "cpu")
    with torch.no_grad():
        for parameter in made.module["fusion"].parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        if (
            cls is Deformable
        ):  # beyond the edges of a map, transformers has zeros: every point at the centre of its cell
            torch.nn.init.zeros_(made.module["fusion"].offsets.weight)
            torch.nn.init.zeros_(made.module["fusion"].offsets.bias)
        results = {}
        for way, context in made.ways().items():
            with context as forward:
                results[way] = forward(made.inputs)
    for way, given in results.items():
        torch.testing.assert_close(given, results[OURS], atol=1e-5, rtol=1e-4, msg=way)
    others = {MiniGemini: "keys and values held", Deformable: "transformers"}
    assert list(results) == [OURS, *([others[cls]] if cls in others else [])]


def test_an_expert_alone_has_no_other_way() -> None:
    for cls in (MiniGemini, Deformable):
        fusion = cls({"a": OUTLINES["a"]}, 16, **ARGUMENTS[cls])
        assert list(ways(fusion, nn.ModuleDict())) == [OURS]


@pytest.mark.parametrize("cls", [ChannelConcat, LlavaHr])
def test_seconds_are_of_forward_and_backward_of_all_weights_and_maps(cls: type[Fusion]) -> None:
    made = subject(partial(cls, grid=4), OUTLINES, 16, 2, "cpu")
    reached = set()
    for name, parameter in made.module.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: reached.add(name))
    assert short_passes(lambda: made, [OURS], 1)[OURS][0] > 0
    fusion = {name for name, _ in made.module.named_parameters() if name.startswith("fusion.")}
    assert fusion | {"maps.a.1", "maps.b.3"} <= reached
    assert all(parameter.grad is None for parameter in made.module.parameters())


def test_the_default_experts_can_be_measured() -> None:
    """CLIP and SAM at the tiny size, whose maps between blocks are not those that they give."""
    workshop = build_workshop(composed("fusion=llava_hr"))
    outlines = {name: outline(workshop.fresh_expert(name)) for name in workshop.experts}
    for name in FUSIONS:
        made = subject(build_workshop(composed(f"fusion={name}"))._fusion, outlines, 128, 1, "cpu")
        for context in made.ways().values():
            with context as forward:
                assert forward(made.inputs).shape[2] == 128, name


def test_mining_needs_less_memory_than_keys_and_values() -> None:
    """In processes of their own, where maps outweigh everything else: 16 x 16 windows of 8 x 8 cells."""
    levels = tuple(MapShape(24 * 2**index, 128 // 2**index) for index in range(4))
    outlines = {"a": Outline(64, 16), "b": Outline(192, 16, levels)}
    prepare = partial(subject, partial(MiniGemini, grid=16), outlines, 64, 8, "cpu")
    held, ours = (apart(first_pass, prepare, way)[1].megabytes for way in ("keys and values held", OURS))
    assert held > 2 * ours


def test_the_table_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]
) -> None:
    measured = {OURS: Cost(0.5, 100.0), "transformers": Cost(0.75, 300.0)}
    monkeypatch.setattr("eaglebench.profiling.bench.fusion.costs", lambda *_: measured)
    path = tmp_path / "bench.md"
    words = ["task=bench", "bench=fusion", "experts=[clip,sam]", "fusion=sva", "fusion.heads=8"]
    outcome = command(*words, f"bench.to={path}")
    rows = [line for line in path.read_text().splitlines() if line.startswith(tuple(f"| {name} " for name in FUSIONS))]
    assert len(rows) == 2 * len(FUSIONS)
    assert "| clip,sam |" in rows[0]
    assert rows[1].endswith("| transformers | 0.75 | 300 | 1.50 x | 3.00 x |")
    assert "0.5 s, 100 MB; transformers takes 1.50 x, 3.00 x" in outcome.out


def test_a_fusion_that_cannot_take_the_experts_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]
) -> None:
    monkeypatch.setattr("eaglebench.profiling.bench.fusion.costs", lambda *_: {OURS: Cost(0.5, 100.0)})
    path = tmp_path / "bench.md"
    outcome = command(
        *("task=bench", "bench=fusion", "experts=[convnext,sam]", "bench.fusions=[llava_hr,sva]", f"bench.to={path}")
    )
    assert outcome.code == 0
    assert "llava_hr is left out: fusion=llava_hr adapts its base between blocks, and convnext is no" in outcome.out
    assert "| sva |" in path.read_text()


def test_a_stand_in_is_what_it_is_given() -> None:
    maps = [torch.randn(1, 2, 4, 4), torch.randn(1, 8, 2, 2)]
    assert torch.equal(StandIn()(maps, {1: lambda x: x + 1, 2: lambda x: x * 2}), (maps[-1] + 1) * 2)
    assert StandIn().pyramid(maps) == maps[:-1]
