"""What an expert costs is measured on the expert itself, and beside the same one with attention written out."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from eaglebench.config.build import build_workshop, constructor_arguments
from eaglebench.config.schema import plain, validate
from eaglebench.profiling.bench.expert_subject import Variant, size, subject
from eaglebench.profiling.bench.experts import bench_experts
from eaglebench.profiling.bench.measure import NO_ROOM, OURS, Cost, Prepare, apart, costs, first_pass, short_passes
from eaglebench.profiling.bench.table import beside, compared
from eaglebench.profiling.bench.upstream import WRITTEN_OUT, ways
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, composed
from tests.helpers.upstream.cases import as_map

FORWARD = Variant(backward=False, dtype="float32", checkpointing=False)


def arguments(name: str, *overrides: str) -> dict[str, object]:
    return constructor_arguments(plain(composed(f"experts=[{name}]", *overrides).experts[name]))


@pytest.mark.parametrize("name", EXPERTS)
def test_every_way_gives_the_same(name: str) -> None:
    expert = build_workshop(composed(f"experts=[{name}]", f"experts.{name}.unshuffle=1")).expert(name).eval()
    pixels = torch.randn(2, 3, expert.image_size, expert.image_size)
    with torch.no_grad():
        ours = expert(pixels)
        for way, context in ways(expert).items():
            with context as forward:
                given = as_map(forward(pixels), expert.grid)
            torch.testing.assert_close(given, ours, atol=1e-4, rtol=1e-4, msg=way)
        assert not any(type(module) is Attention for module in expert.modules())
        torch.testing.assert_close(expert(pixels), ours, atol=0, rtol=0)


def test_the_ways_of_each_expert() -> None:
    libraries = {name: [*ways(build_workshop(composed(f"experts=[{name}]")).expert(name))][1:] for name in EXPERTS}
    segment_anything = ["segment_anything (attention written out)"]
    assert libraries == {
        "clip": ["transformers", "attention written out"],
        "convnext": ["timm"],
        "dinov2": ["transformers", "attention written out"],
        "eva02": ["attention written out"],
        "pix2struct": ["transformers", "attention written out"],
        "sam": segment_anything,
        "sam_vary": segment_anything,
    }


@pytest.mark.parametrize(
    ("name", "published"),
    # Eagle counts linear and convolution layers alone (its Figure 4): attention comes on top, and ConvNeXt has none.
    [("convnext", 3167.4e9), ("clip", 309.9e9), ("sam", 1308.7e9), ("pix2struct", 1024.3e9)],
)
def test_multiply_accumulates_are_those_of_the_paper_and_attention(name: str, published: float) -> None:
    _, macs = size(arguments(name, "size=full", "data.train=x.json"))
    assert published * 0.999 < macs < published * (1.001 if name == "convnext" else 1.5)


def test_ways_take_turns() -> None:
    seconds = short_passes(partial(subject, arguments("clip"), FORWARD, 2, "cpu"), [OURS, "transformers"], 2)
    assert [*seconds] == ["eaglebench", "transformers"]
    assert all(len(each) == 2 and min(each) > 0 for each in seconds.values())


@pytest.mark.parametrize(("long", "then"), [(False, ("short_passes", 2)), (True, ("long_passes", 1))])
def test_the_pass_that_measures_memory_is_the_first_repeat_of_long_passes(
    monkeypatch: pytest.MonkeyPatch, long: bool, then: tuple[str, int]
) -> None:
    called = []

    def here(function: Callable[..., Any], *arguments: Any) -> Any:
        called.append((function.__name__, arguments[-1]))
        return function(*arguments)

    monkeypatch.setattr("eaglebench.profiling.bench.measure.apart", here)
    if long:
        monkeypatch.setattr("eaglebench.profiling.bench.measure.LONG_SECONDS", 0.0)
    measured = costs(partial(subject, arguments("clip"), FORWARD, 2, "cpu"), 2)
    assert called == [*(("first_pass", way) for way in measured), then]
    assert [*measured] == ["eaglebench", "transformers", "attention written out"]
    assert min(cost.seconds for cost in measured.values()) > 0


@pytest.mark.parametrize("error", [BrokenProcessPool(), torch.OutOfMemoryError()])
def test_a_way_that_does_not_fit_into_memory_is_told_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int, mp_context: object) -> None:
            super().__init__(workers)

        def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed if arguments[-1] == WRITTEN_OUT else super().submit(function, *arguments)

    monkeypatch.setattr("eaglebench.profiling.bench.measure.ProcessPoolExecutor", Pool)
    measured = costs(partial(subject, arguments("clip"), FORWARD, 2, "cpu"), 1)
    assert [way for way, cost in measured.items() if cost == NO_ROOM] == [WRITTEN_OUT]
    rows = list(compared(measured))
    assert rows[-1] == (WRITTEN_OUT, "-", "does not fit", "", "")
    assert beside(rows).endswith("attention written out does not fit into memory")


def peak(prepare: Prepare, way: str) -> float:
    """Megabytes of a pass, in a process of its own."""
    cost: Cost = apart(first_pass, prepare, way)[1]
    return cost.megabytes


def test_checkpointing_saves_memory_and_written_out_attention_wastes_it() -> None:
    """In processes of their own, at a size where activations outweigh everything else."""
    config = arguments("clip", "experts.clip.image_size=128", "experts.clip.depth=12")
    variants = (Variant(backward=True, dtype="float32", checkpointing=value) for value in (False, True))
    kept, checkpointed = (partial(subject, config, variant, 16, "cpu") for variant in variants)
    usual = peak(kept, OURS)
    assert peak(checkpointed, OURS) < 0.85 * usual
    assert peak(kept, WRITTEN_OUT) > 1.2 * usual


def test_the_table_is_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    measured = {OURS: Cost(0.5, 100.0), "transformers": Cost(0.55, 100.0), WRITTEN_OUT: Cost(1.0, 250.0)}
    monkeypatch.setattr("eaglebench.profiling.bench.experts.costs", lambda *_: measured)
    bench_experts(composed("experts=[clip,convnext]", f"bench.to={tmp_path / 'bench.md'}"))
    written = (tmp_path / "bench.md").read_text()
    assert len([line for line in written.splitlines() if line.startswith(("| clip", "| convnext"))]) == 2 * 6 * 3
    assert "| attention written out | 1 | 250 | 2.00 x | 2.50 x |" in written
    line = "clip 64 px, forward, float32, activations kept: 0.5 s, 100 MB; transformers takes 1.10 x, 1.00 x"
    assert line in capsys.readouterr().out


def test_an_empty_measurement_is_refused() -> None:
    with pytest.raises(UserError, match="must be at least 1"):
        validate(composed("task=bench", "bench.repeats=0"))
