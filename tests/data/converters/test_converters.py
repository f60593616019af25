"""Every benchmark of the evaluation has a converter."""

from eaglebench.data.converters import CONVERTERS
from eaglebench.evaluation.benchmarks import BENCHMARKS, EAGLE11


def test_every_benchmark_can_be_converted() -> None:
    assert set(EAGLE11) <= set(CONVERTERS) == set(BENCHMARKS)
