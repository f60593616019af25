"""How a run's answers are generated and scored: the `evaluation` section of a config as a plain object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eaglebench.data.square import ImageSettings
from eaglebench.evaluation.answer_room import AnswerLimits, Overlong
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.scoring import Scoring


@dataclass(frozen=True)
class EvaluationSettings:
    """How answers are generated and scored.

    Attributes:
        batch_size: questions that are answered at once.
        max_new_tokens: most tokens of an answer, outside the benchmarks.
        overlong: what happens to questions that do not fit in the context, see `AnswerLimits`.
        generate: options of transformers' `generate`; greedy decoding if None or empty.
        metrics: names of metrics by family.
        default_metric: the metric of families that `metrics` does not name.
        benchmarks: families that are official benchmarks: prompted, scored and counted as `benchmarks.py` says.
        shuffled: whether all questions are answered again with shuffled images, for a blind score.
        other_question: whether another question is asked about each image, for the score of ignoring what is asked.
        device: where answers are generated.
        seed: of the shuffled images and questions, and of sampled answers.
        cache_mb: memory for decoded images, in MB; visual tokens are kept where all fit in as much.
        images: how images become squares.
    """

    batch_size: int
    max_new_tokens: int
    overlong: Overlong
    generate: Mapping[str, Any] | None
    metrics: Mapping[str, str]
    default_metric: str
    benchmarks: Sequence[str]
    shuffled: bool
    other_question: bool
    device: str
    seed: int
    cache_mb: int
    images: ImageSettings

    @property
    def scoring(self) -> Scoring:
        """The metrics of all families."""
        return Scoring(self.metrics, self.default_metric, frozenset(self.benchmarks))

    @property
    def token_limits(self) -> dict[str, int]:
        """The most new tokens of an answer, by benchmark."""
        return {name: BENCHMARKS[name].max_new_tokens for name in self.benchmarks}

    @property
    def limits(self) -> AnswerLimits:
        """How long answers may become."""
        return AnswerLimits(self.max_new_tokens, self.token_limits, self.overlong)
