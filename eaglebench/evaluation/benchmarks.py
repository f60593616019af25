"""The benchmarks of Eagle's tables: how each is asked, scored and counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from eaglebench.evaluation.metrics import AGGREGATES
from eaglebench.evaluation.metrics.aggregate import PERCEPTION
from eaglebench.evaluation.metrics.rows import Rows
from eaglebench.utils.errors import UserError

SHORT = "\nAnswer the question using a single word or phrase."
WORD = "\nAnswer the question with a single word."
LETTER = "\nAnswer with the option's letter from the given choices directly."
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT
PERCENT = 100.0
AVERAGED = 11
CATEGORIES = {"mme": set(PERCEPTION), "groups": None}  # of aggregates that need them: those that count, or any
AT_MOST = 1000.0  # of each benchmark, in Eagle's average
OF_1000 = 10.0  # what a point of a percentage counts in the average, where each benchmark gives at most 1000


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        metric: of an answer, see `METRICS`.
        aggregate: of all answers, see `AGGREGATES`.
        suffix: stands after every question.
        max_new_tokens: of an answer.
        scale: what the aggregate is multiplied by to give the figure that papers print.
        weight: what a point of that figure counts in Eagle's average; 0 for a benchmark outside it.
        open_suffix: stands instead of `suffix` after a question without options; None for the same.
        metrics: of the categories that have another metric.
        differs: what the paper did otherwise, so that its figures cannot be compared to the last point; empty if nothing.
    """

    metric: str
    suffix: str
    max_new_tokens: int
    aggregate: str = "mean"
    scale: float = PERCENT
    weight: float = 0.0
    open_suffix: str | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""

    @property
    def unit(self) -> str:
        """The field of `meta` whose questions stand or fall together."""
        return "category" if self.aggregate == "groups" else "image"

    def metric_of(self, category: str | None) -> str:
        """The metric of a question of this category."""
        return self.metrics.get(category or "", self.metric)

    def figure(self, rows: Rows) -> float:
        """The figure that papers print for all answers."""
        return self.scale * AGGREGATES[self.aggregate](rows)

    def check(self, name: str, rows: Rows) -> None:
        """Find out whether the figure means something.

        Raises:
            UserError: it needs categories, and there are none.
        """
        found = {row["meta"]["category"] for row in rows}
        if self.aggregate in CATEGORIES and (None in found or not found & (CATEGORIES[self.aggregate] or found)):
            raise UserError(
                f"{name} is counted by category, and the category of its questions is {sorted(map(str, found))[0]}: give each its own, "
                f"as task=convert convert.benchmark={name} does."
            )

    def share(self, rows: Rows) -> float:
        """The figure as a part of the most that it can be: the mean of these is Eagle's average over 1000."""
        return self.figure(rows) * (self.weight / AT_MOST if self.weight else 1 / self.scale)


# Suffixes, lengths and metrics are those of the lmms-eval tasks that Eagle was evaluated with, where it had the task.
BENCHMARKS = {
    # The eleven of the average (Eagle, section 4), in the order of its detail tables.
    "gqa": Benchmark("exact_words", SHORT, 16, weight=OF_1000),
    "vizwiz": Benchmark(
        "vqa", UNANSWERABLE, 1024, weight=OF_1000,
        differs="the released models were scored on the test server, with about 5 points less than on val",
    ),
    "mme": Benchmark("yes_no", SHORT, 16, aggregate="mme", scale=1.0, weight=1 / 2),
    "seed": Benchmark("choice", LETTER, 1024, weight=OF_1000),
    "ocrbench": Benchmark(
        "contains", "", 128, aggregate="count", scale=1.0, weight=1.0,
        metrics={"Handwritten Mathematical Expression Recognition": "contains_formula"},
    ),
    "docvqa": Benchmark("anls", SHORT, 32, weight=OF_1000, differs="the paper does not name its split"),
    "chartqa": Benchmark("relaxed", WORD, 16, weight=OF_1000),
    "ai2d": Benchmark("choice", LETTER, 16, weight=OF_1000),
    "pope": Benchmark("yes_no", SHORT, 128, aggregate="yes_f1", weight=OF_1000),
    # Its questions end with their own instruction.
    "realworldqa": Benchmark("choice", "", 16, weight=OF_1000, differs="the paper's evaluation code has no such task"),
    "scienceqa": Benchmark("choice", LETTER, 16, weight=OF_1000),
    # The others of its tables.
    "vqav2": Benchmark("vqa", SHORT, 16, differs="the paper's figures are the test server's"),
    "textvqa": Benchmark(
        "vqa", SHORT, 1024, differs="the paper's prompts list the words that an OCR system found in the image"
    ),
    "mmbench": Benchmark("choice", LETTER, 1024, differs="the paper had GPT-3.5 read the letter out of each answer"),
    "mmmu": Benchmark(
        "choice", "\n" + LETTER, 16, open_suffix="\n" + SHORT,
        differs="the official script guesses an option where it finds none, looks for open answers within the text, and gives several "
        "images one by one, which stand side by side here",
    ),
    # Its questions begin with their own instruction.
    "mathvista": Benchmark("choice", "", 1024, differs="the paper had GPT-4 read the answer out of each text"),
    "infovqa": Benchmark("anls", SHORT, 32, differs="the paper does not name its split"),
    "mmvp": Benchmark(
        "choice", LETTER, 16, aggregate="groups",
        differs="the paper's two tables score it differently, by pairs and presumably by images",
    ),
}  # fmt: skip

EAGLE11 = tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.weight)


def eagle_average(figures: Mapping[str, float]) -> float:
    """Eagle's average over its eleven benchmarks, each of at most 1000.

    Args:
        figures: by benchmark as papers print them: percentages, OCRBench's count, MME's perception sum.

    Raises:
        UserError: names the benchmarks that have no figure; none is made up.
    """
    if missing := [name for name in EAGLE11 if name not in figures]:
        raise UserError(f"Eagle's average is over {AVERAGED} benchmarks, and {', '.join(missing)} have no figure.")
    return sum(BENCHMARKS[name].weight * figures[name] for name in EAGLE11) / AVERAGED
