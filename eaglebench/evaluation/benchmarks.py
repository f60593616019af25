"""The benchmarks of Eagle's tables: how each is prompted, scored and aggregated."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eaglebench.evaluation.metrics import AGGREGATES
from eaglebench.evaluation.metrics.mme import PERCEPTION
from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.utils.errors import UserError

SHORT = "\nAnswer the question using a single word or phrase."
WORD = "\nAnswer the question with a single word."
LETTER = "\nAnswer with the option's letter from the given choices directly."
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT
PERCENT = 100.0
AVERAGED = 11  # benchmarks in Eagle's average
# The categories that an aggregate needs: one of these, or any at all.
REQUIRED_CATEGORIES = {"mme": set(PERCEPTION), "groups": None}
PAIR = 2  # questions of an image of MME, or of a category of MMVP
EAGLE_AVERAGE = "eagle_average"  # key in the scores of runs that answered all of the eleven
MAX_POINTS = 1000.0  # of each benchmark in Eagle's average
POINTS_PER_PERCENT = 10.0


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        metric: the name of the metric of an answer, see `METRICS`.
        suffix: follows every question in the prompt.
        max_new_tokens: most tokens of an answer.
        aggregate: the name of the aggregate of all answers, see `AGGREGATES`.
        scale: the factor from the aggregate to the official score.
        weight: points in Eagle's average for one unit of the official score; 0 for a benchmark outside the average.
        open_suffix: follows questions without options, in place of `suffix`; None for the same.
        open_metric: the metric of questions without options; None for the same.
        metrics: the metrics of categories that have another one.
        differs: what the paper did otherwise, so that its scores are not exactly comparable; empty if nothing.
    """

    metric: str
    suffix: str
    max_new_tokens: int
    aggregate: str = "mean"
    scale: float = PERCENT
    weight: float = 0.0
    open_suffix: str | None = None
    open_metric: str | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""

    @property
    def unit(self) -> str:
        """The field of `meta` whose questions the bootstrap resamples together."""
        return {"groups": "category", "circular": "rotations_of"}.get(self.aggregate, "image")

    def metric_for(self, meta: Mapping[str, Any]) -> str:
        """The name of the metric for a question, by its category and by whether it has options."""
        metric = self.metric if meta.get("choices") or self.open_metric is None else self.open_metric
        return self.metrics.get(meta.get("category") or "", metric)

    def compute_official_score(self, rows: AnswerRows) -> float:
        """The score of all answers on the scale that papers report."""
        return self.scale * AGGREGATES[self.aggregate](rows)

    def compute_fraction(self, rows: AnswerRows) -> float:
        """The official score divided by its maximum.

        The mean of these over the eleven benchmarks is Eagle's average divided by 1000.
        """
        return self.compute_official_score(rows) * (self.weight / MAX_POINTS if self.weight else 1 / self.scale)

    def check_categories(self, name: str, rows: AnswerRows) -> None:
        """Check that the questions have the categories and the pairs that the aggregate needs.

        Raises:
            UserError: they have not.
        """
        found = {row["meta"]["category"] for row in rows}
        if self.aggregate not in REQUIRED_CATEGORIES:
            return
        if None in found or not found & (REQUIRED_CATEGORIES[self.aggregate] or found):
            raise UserError(
                f"{name} is aggregated by category, and the category of its questions is "
                f"{sorted(map(str, found))[0]}: give each its own, as task=convert convert.benchmark={name} does."
            )
        pairs = Counter((row["meta"]["category"], row["meta"]["image"] if name == "mme" else "") for row in rows)
        for (category, image), size in pairs.items():
            if size != PAIR:
                raise UserError(
                    f"{name} scores pairs of questions, and {' '.join(filter(None, (category, image)))} has {size}: "
                    f"give both, as task=convert convert.benchmark={name} does."
                )


# Suffixes, lengths and metrics are those of the lmms-eval tasks that Eagle was evaluated with, where it had the task.
BENCHMARKS = {
    # The eleven of the average (Eagle, section 4), in the order of its detail tables.
    "gqa": Benchmark("exact_words", SHORT, 16, weight=POINTS_PER_PERCENT),
    "vizwiz": Benchmark(
        "vqa_words", UNANSWERABLE, 1024, weight=POINTS_PER_PERCENT,
        differs="the released models were scored on the test server, with about 5 points less than on val",
    ),
    "mme": Benchmark("mme", SHORT, 16, aggregate="mme", scale=1.0, weight=1 / 2),
    "seed": Benchmark("seed", LETTER, 1024, weight=POINTS_PER_PERCENT),
    "ocrbench": Benchmark(
        "contains", "", 128, aggregate="count", scale=1.0, weight=1.0,
        metrics={"Handwritten Mathematical Expression Recognition": "contains_formula"},
    ),
    "docvqa": Benchmark("anls", SHORT, 32, weight=POINTS_PER_PERCENT, differs="the paper does not name its split"),
    "chartqa": Benchmark("relaxed", WORD, 16, weight=POINTS_PER_PERCENT),
    "ai2d": Benchmark("ai2d", LETTER, 16, weight=POINTS_PER_PERCENT),
    "pope": Benchmark("pope", SHORT, 128, aggregate="yes_f1", weight=POINTS_PER_PERCENT),
    # Its questions end with their own instruction.
    "realworldqa": Benchmark(
        "realworldqa", "", 16, weight=POINTS_PER_PERCENT, differs="the paper's evaluation code has no such task"
    ),
    "scienceqa": Benchmark("scienceqa", LETTER, 16, weight=POINTS_PER_PERCENT),
    # The others of its tables.
    "vqav2": Benchmark("vqa", SHORT, 16, differs="the paper's figures are the test server's"),
    "textvqa": Benchmark(
        "vqa_words", SHORT, 1024, differs="the paper's prompts list the words that an OCR system found in the image"
    ),
    "mmbench": Benchmark(
        "mmbench", LETTER, 1024, aggregate="circular",
        differs="the paper had GPT-3.5 read the letter out of an answer that names none",
    ),
    "mmmu": Benchmark(
        "mmmu", "\n" + LETTER, 16, open_suffix="\n" + SHORT, open_metric="mmmu_open",
        differs="the official script gives several images one by one, which stand side by side here",
    ),
    # Its questions begin with their own instruction.
    "mathvista": Benchmark("mathvista", "", 1024, differs="the paper had GPT-4 read the answer out of each text"),
    "infovqa": Benchmark("anls", SHORT, 32, differs="the paper does not name its split"),
    "mmvp": Benchmark(
        "mmvp", LETTER, 16, aggregate="groups",
        differs="the paper's two tables score it differently, by pairs and presumably by images; lmms-eval corrects "
        "four answers of the release, which stay as they are here",
    ),
}  # fmt: skip

EAGLE11 = tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.weight)


def compute_eagle_average(scores: Mapping[str, float]) -> float:
    """Eagle's average over its eleven benchmarks, of 1000 (Eagle, section 4).

    Args:
        scores: official scores by benchmark: percentages, OCRBench's count, MME's perception sum.

    Raises:
        UserError: a benchmark has no score; it names all of these.
    """
    if missing := [name for name in EAGLE11 if name not in scores]:
        raise UserError(f"Eagle's average is over {AVERAGED} benchmarks, and {', '.join(missing)} have no score.")
    return sum(BENCHMARKS[name].weight * scores[name] for name in EAGLE11) / AVERAGED


def build_average_entry(families: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Eagle's average under the key EAGLE_AVERAGE; empty unless all eleven benchmarks have an official score.

    Args:
        families: entries of a `scores.json` by family.
    """
    if any("figure" not in families.get(name, {}) for name in EAGLE11):
        return {}
    return {EAGLE_AVERAGE: round(compute_eagle_average({name: families[name]["figure"] for name in EAGLE11}), 2)}
