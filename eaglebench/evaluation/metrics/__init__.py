"""Metrics of one answer and aggregates of many, by name.

A metric takes an answer and its references and gives a score in [0, 1]. An aggregate takes the rows of all answers to a
benchmark and gives one number.
"""

from collections.abc import Callable, Sequence

from eaglebench.evaluation.metrics.aggregate import count, groups, mean, mme
from eaglebench.evaluation.metrics.anls import anls
from eaglebench.evaluation.metrics.choice import choice
from eaglebench.evaluation.metrics.contains import contains, contains_formula
from eaglebench.evaluation.metrics.exact import exact, exact_words
from eaglebench.evaluation.metrics.ocr import bleu, edit, f1, meteor, precision, recall
from eaglebench.evaluation.metrics.relaxed import relaxed
from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.evaluation.metrics.vqa import vqa
from eaglebench.evaluation.metrics.yes_no import yes_f1, yes_no

METRICS: dict[str, Callable[[str, Sequence[str]], float]] = {
    "exact": exact,
    "exact_words": exact_words,
    "anls": anls,
    "relaxed": relaxed,
    "vqa": vqa,
    "choice": choice,
    "yes_no": yes_no,
    "contains": contains,
    "contains_formula": contains_formula,
    "edit": edit,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "bleu": bleu,
    "meteor": meteor,
}
AGGREGATES: dict[str, Callable[[AnswerRows], float]] = {
    "mean": mean,
    "count": count,
    "groups": groups,
    "mme": mme,
    "yes_f1": yes_f1,
}
