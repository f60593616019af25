"""The cost of a fusion is measured with its own weights, beside reference implementations."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from eaglebench.config.build import build_factory
from eaglebench.config.compose import compose_command
from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.llava_hr import LlavaHr
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.model.factory import collect_feature_info
from eaglebench.profiling.bench.fusion import fusion_builder
from eaglebench.profiling.bench.fusion_subject import PrecomputedExpert, fusion_implementations, make_fusion_subject
from eaglebench.profiling.bench.measure import OURS, PassCost, in_fresh_process, measure_first_pass, time_short_passes
from tests.conftest import FUSIONS, Outcome
from tests.helpers.fusions import ARGUMENTS

INFOS = {
    "a": FeatureInfo(8, 4, (MapShape(2, 8),), blocks=4, block_map=MapShape(6, 8)),
    "b": FeatureInfo(4, 4, (MapShape(3, 16), MapShape(2, 8), MapShape(4, 4))),
}


@pytest.mark.parametrize("cls", list(ARGUMENTS))
def test_every_implementation_gives_the_same(cls: type[Fusion]) -> None:
    made = make_fusion_subject(partial(cls, grid=4, **ARGUMENTS[cls]), INFOS, 16, 2, "cpu")
    with torch.no_grad():
        for parameter in made.module["fusion"].parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        if cls is Deformable:  # transformers samples zeros outside of a map: every point is the centre of its cell
            torch.nn.init.zeros_(made.module["fusion"].offsets.weight)
            torch.nn.init.zeros_(made.module["fusion"].offsets.bias)
        results = {}
        for name, context in made.implementations().items():
            with context as forward:
                results[name] = forward(made.inputs)
    for name, tokens in results.items():
        torch.testing.assert_close(tokens, results[OURS], atol=1e-5, rtol=1e-4, msg=name)
    others = {MiniGemini: "all keys and values at once", Deformable: "transformers"}
    assert list(results) == [OURS, *([others[cls]] if cls in others else [])]


def test_an_expert_alone_has_no_other_implementation() -> None:
    for cls in (MiniGemini, Deformable):
        fusion = cls({"a": INFOS["a"]}, 16, **ARGUMENTS[cls])
        assert list(fusion_implementations(fusion, nn.ModuleDict())) == [OURS]


@pytest.mark.parametrize("cls", [ChannelConcat, LlavaHr])
def test_seconds_are_of_forward_and_backward_of_all_weights_and_maps(cls: type[Fusion]) -> None:
    made = make_fusion_subject(partial(cls, grid=4), INFOS, 16, 2, "cpu")
    reached = set()
    for name, parameter in made.module.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: reached.add(name))
    assert time_short_passes(lambda: made, [OURS], 1)[OURS][0] > 0
    fusion = {name for name, _ in made.module.named_parameters() if name.startswith("fusion.")}
    assert fusion | {"maps.a.1", "maps.b.3"} <= reached
    assert all(parameter.grad is None for parameter in made.module.parameters())


@pytest.mark.slow
def test_the_default_experts_can_be_measured() -> None:
    """CLIP and SAM at the tiny size, whose maps between blocks are not those that they give."""
    factory = build_factory(compose_command(["fusion=llava_hr"]).config)
    infos = {name: collect_feature_info(factory.build_untrained_expert(name)) for name in factory.experts}
    command = compose_command([])
    for name in FUSIONS:
        build = fusion_builder(command, name)
        made = make_fusion_subject(build, infos, 128, 1, "cpu")
        for context in made.implementations().values():
            with context as forward:
                assert forward(made.inputs).shape[2] == 128, name


@pytest.mark.slow
def test_windowed_attention_needs_less_memory_than_all_keys_and_values() -> None:
    """In processes of their own, where maps outweigh everything else: 16 x 16 windows of 8 x 8 cells."""
    levels = tuple(MapShape(24 * 2**index, 128 // 2**index) for index in range(4))
    infos = {"a": FeatureInfo(64, 16), "b": FeatureInfo(192, 16, levels)}
    make = partial(make_fusion_subject, partial(MiniGemini, grid=16), infos, 64, 8, "cpu")
    names = ("all keys and values at once", OURS)
    reference, ours = (in_fresh_process(measure_first_pass, make, name)[1].megabytes for name in names)
    assert reference > 2 * ours


def test_the_table_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]
) -> None:
    measured = {OURS: PassCost(0.5, 100.0), "transformers": PassCost(0.75, 300.0)}
    monkeypatch.setattr("eaglebench.profiling.bench.fusion.measure_costs", lambda *_: measured)
    path = tmp_path / "bench.md"
    overrides = ["task=bench", "bench=fusion", "experts=[clip,sam]", "fusion=sva", "fusion.heads=8"]
    outcome = command(*overrides, f"bench.to={path}")
    rows = [line for line in path.read_text().splitlines() if line.startswith(tuple(f"| {name} " for name in FUSIONS))]
    assert len(rows) == 2 * len(FUSIONS)
    assert "| clip,sam |" in rows[0]
    assert rows[1].endswith("| transformers | 0.75 | 300 | 1.50 x | 3.00 x |")
    assert "0.5 s, 100 MB; transformers takes 1.50 x, 3.00 x" in outcome.out


def test_a_fusion_that_cannot_take_the_experts_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]
) -> None:
    monkeypatch.setattr("eaglebench.profiling.bench.fusion.measure_costs", lambda *_: {OURS: PassCost(0.5, 100.0)})
    path = tmp_path / "bench.md"
    outcome = command(
        *("task=bench", "bench=fusion", "experts=[convnext,sam]", "bench.fusions=[llava_hr,sva]", f"bench.to={path}")
    )
    assert outcome.code == 0
    assert "llava_hr is left out: fusion=llava_hr adapts its base between blocks, and convnext is no" in outcome.out
    assert "| sva |" in path.read_text()


def test_a_precomputed_expert_gives_its_maps() -> None:
    maps = [torch.randn(1, 2, 4, 4), torch.randn(1, 8, 2, 2)]
    assert torch.equal(PrecomputedExpert()(maps, {1: lambda x: x + 1, 2: lambda x: x * 2}), (maps[-1] + 1) * 2)
    assert PrecomputedExpert().forward_levels(maps) == maps[:-1]
