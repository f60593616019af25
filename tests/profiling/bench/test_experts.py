"""The cost of an expert is measured on the expert itself, and beside the same one with naive attention."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from eaglebench.config.build import build_factory
from eaglebench.config.compose import compose_command
from eaglebench.experts.base import VisionExpert
from eaglebench.profiling.bench.expert_subject import PassVariant, count_parameters_and_macs, make_expert_subject
from eaglebench.profiling.bench.measure import (
    DOES_NOT_FIT,
    OURS,
    MakeSubject,
    PassCost,
    in_fresh_process,
    measure_costs,
    measure_first_pass,
    time_short_passes,
)
from eaglebench.profiling.bench.table import comparison_rows, format_comparison
from eaglebench.profiling.bench.upstream import NAIVE, expert_implementations
from eaglebench.tasks.bench import bench
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS
from tests.helpers.upstream.base import as_map

FORWARD = PassVariant(backward=False, dtype="float32", checkpointing=False)


def expert_spec(name: str, *overrides: str) -> dict[str, Any]:
    return compose_command([f"experts=[{name}]", *overrides], check=False).config.experts[name].spec


def build(name: str, *overrides: str) -> VisionExpert:
    return build_factory(compose_command([f"experts=[{name}]", *overrides]).config).build_expert(name)


@pytest.mark.parametrize("name", EXPERTS)
def test_every_implementation_gives_the_same(name: str) -> None:
    expert = build(name, f"experts.{name}.unshuffle=1").eval()
    pixels = torch.randn(2, 3, expert.image_size, expert.image_size)
    with torch.no_grad():
        ours = expert(pixels)
        for implementation, context in expert_implementations(expert).items():
            with context as forward:
                features = as_map(forward(pixels), expert.grid)
            torch.testing.assert_close(features, ours, atol=1e-4, rtol=1e-4, msg=implementation)
        assert not any(type(module) is Attention for module in expert.modules())
        torch.testing.assert_close(expert(pixels), ours, atol=0, rtol=0)


def test_the_implementations_of_each_expert() -> None:
    libraries = {name: [*expert_implementations(build(name))][1:] for name in EXPERTS}
    segment_anything = ["segment_anything (naive attention)"]
    assert libraries == {
        "clip": ["transformers", "naive attention"],
        "convnext": ["timm"],
        "dinov2": ["transformers", "naive attention"],
        "eva02": ["naive attention"],
        "pix2struct": ["transformers", "naive attention"],
        "sam": segment_anything,
        "sam_vary": segment_anything,
    }


@pytest.mark.parametrize(
    ("name", "published"),
    # Eagle counts linear and convolution layers alone (its Figure 4): attention comes on top, and ConvNeXt has none.
    [("convnext", 3167.4e9), ("clip", 309.9e9), ("sam", 1308.7e9), ("pix2struct", 1024.3e9)],
)
def test_multiply_accumulates_are_those_of_the_paper_and_attention(name: str, published: float) -> None:
    _, macs = count_parameters_and_macs(expert_spec(name, "size=full", "data.train=x.json"))
    assert published * 0.999 < macs < published * (1.001 if name == "convnext" else 1.5)


def test_implementations_take_turns() -> None:
    seconds = time_short_passes(
        partial(make_expert_subject, expert_spec("clip"), FORWARD, 2, "cpu"), [OURS, "transformers"], 2
    )
    assert [*seconds] == ["eaglebench", "transformers"]
    assert all(len(each) == 2 and min(each) > 0 for each in seconds.values())


@pytest.mark.parametrize(("long", "then"), [(False, ("time_short_passes", 2)), (True, ("time_long_passes", 1))])
def test_the_pass_that_measures_memory_is_the_first_repeat_of_long_passes(
    monkeypatch: pytest.MonkeyPatch, long: bool, then: tuple[str, int]
) -> None:
    called = []

    def here(function: Callable[..., Any], *arguments: Any) -> Any:
        called.append((function.__name__, arguments[-1]))
        return function(*arguments)

    monkeypatch.setattr("eaglebench.profiling.bench.measure.in_fresh_process", here)
    if long:
        monkeypatch.setattr("eaglebench.profiling.bench.measure.LONG_SECONDS", 0.0)
    measured = measure_costs(partial(make_expert_subject, expert_spec("clip"), FORWARD, 2, "cpu"), 2)
    assert called == [*(("measure_first_pass", name) for name in measured), then]
    assert [*measured] == ["eaglebench", "transformers", "naive attention"]
    assert min(cost.seconds for cost in measured.values()) > 0


@pytest.mark.parametrize("error", [BrokenProcessPool(), torch.OutOfMemoryError()])
def test_an_implementation_that_does_not_fit_into_memory_is_reported_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int, *_: object) -> None:
            super().__init__(workers)

        def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed if arguments[-1] == NAIVE else super().submit(function, *arguments)

    monkeypatch.setattr("eaglebench.profiling.bench.measure.ProcessPoolExecutor", Pool)
    measured = measure_costs(partial(make_expert_subject, expert_spec("clip"), FORWARD, 2, "cpu"), 1)
    assert [name for name, cost in measured.items() if cost == DOES_NOT_FIT] == [NAIVE]
    rows = list(comparison_rows(measured))
    assert rows[-1] == (NAIVE, "-", "does not fit", "", "")
    assert format_comparison(rows).endswith("naive attention does not fit into memory")


def peak(make_subject: MakeSubject, name: str) -> float:
    """Megabytes of a pass, in a process of its own."""
    cost: PassCost = in_fresh_process(measure_first_pass, make_subject, name)[1]
    return cost.megabytes


@pytest.mark.slow
def test_checkpointing_saves_memory_and_naive_attention_wastes_it() -> None:
    """In processes of their own, at a size where activations outweigh everything else."""
    config = expert_spec("clip", "experts.clip.image_size=128", "experts.clip.depth=12")
    variants = (PassVariant(backward=True, dtype="float32", checkpointing=value) for value in (False, True))
    kept, checkpointed = (partial(make_expert_subject, config, variant, 16, "cpu") for variant in variants)
    usual = peak(kept, OURS)
    assert peak(checkpointed, OURS) < 0.85 * usual
    assert peak(kept, NAIVE) > 1.2 * usual


def test_the_table_is_printed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    measured = {OURS: PassCost(0.5, 100.0), "transformers": PassCost(0.55, 100.0), NAIVE: PassCost(1.0, 250.0)}
    monkeypatch.setattr("eaglebench.profiling.bench.experts.measure_costs", lambda *_: measured)
    bench(compose_command(["task=bench", "experts=[clip,convnext]", f"bench.to={tmp_path / 'bench.md'}"]))
    written = (tmp_path / "bench.md").read_text()
    assert len([line for line in written.splitlines() if line.startswith(("| clip", "| convnext"))]) == 2 * 6 * 3
    assert "| naive attention | 1 | 250 | 2.00 x | 2.50 x |" in written
    line = "clip 64 px, forward, float32, activations kept: 0.5 s, 100 MB; transformers takes 1.10 x, 1.00 x"
    assert line in capsys.readouterr().out


def test_an_empty_measurement_is_refused() -> None:
    with pytest.raises(UserError, match=r"bench\.repeats=0 must be a whole number above 0"):
        compose_command(["task=bench", "bench.repeats=0"])
