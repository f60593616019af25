"""Two runs on the same questions: their scores by family, and whether the difference is significant."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eaglebench.evaluation.prediction_lines import parse_prediction
from eaglebench.evaluation.question_identity import METRIC, find_image_digest, list_references
from eaglebench.evaluation.significance import PairedTest, paired_test
from eaglebench.runs import PREDICTIONS, benchmark_predictions
from eaglebench.utils.errors import UserError
from eaglebench.utils.hashing import named_seed

Key = tuple[str, str, int, str]  # family, id, turn and question

Answers = Mapping[Key, Mapping[str, Any]]  # rows of predictions.jsonl


class FamilyComparison(NamedTuple):
    """The mean scores of two runs on one family, and the test of their difference."""

    first: float
    second: float
    test: PairedTest


def read_answers(folder: Path) -> Answers:
    """The answers of a finished run, or of a folder that task=eval wrote for one benchmark or for all of them.

    Raises:
        UserError: the folder has no answers, the same question twice, or a line that is no answer.
    """
    paths = [folder / PREDICTIONS] if (folder / PREDICTIONS).is_file() else benchmark_predictions(folder)
    answers: dict[Key, Mapping[str, Any]] = {}
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            row = parse_prediction(line)
            if row is None or not isinstance(row.get("id"), str):
                raise UserError(f"{path}, line {number} is no answer to a question: evaluate the run again, task=eval.")
            key = (row["family"], row["id"], row.get("turn", 0), row["question"])
            if key in answers:
                raise UserError(
                    f"{path} has the question {row['id']} of {row['family']} twice: give each an id of its own."
                )
            answers[key] = row
    if not answers:
        empty = f"{paths[0]} is empty" if paths else f"no {PREDICTIONS} in it"
        raise UserError(f"{folder} is not the folder of an evaluated run ({empty}).")
    return answers


def check_same_questions(first: Answers, second: Answers) -> None:
    """Check that two runs answered the same questions, about the same images, with the same references and metrics.

    What older runs do not say of images and metrics is taken as the same.

    Raises:
        UserError: they did not.
    """
    common = first.keys() & second.keys()
    alone = len(first) - len(common), len(second) - len(common)
    other = {
        "other references": sum(list_references(first[key]) != list_references(second[key]) for key in common),
        "another image": sum(differ(*(find_image_digest(run[key]) for run in (first, second))) for key in common),
        "another metric": sum(differ(*(run[key].get(METRIC) for run in (first, second))) for key in common),
    }
    if any(alone) or any(other.values()):
        found = ", ".join(f"{count} with {what}" for what, count in other.items() if count) or "all alike"
        raise UserError(
            f"the two runs answered different questions ({alone[0]} of the first alone, {alone[1]} of the second "
            f"alone; {len(common)} of both, {found}): evaluate both on the same data with task=eval."
        )


def differ(first: object, second: object) -> bool:
    """Whether both are known and not the same."""
    return None not in (first, second) and first != second


def compare_answers(first: Answers, second: Answers) -> dict[str, FamilyComparison]:
    """The comparison of two runs on the same questions, by family.

    The first entry is `overall`, the mean over families.
    """
    keys = sorted(first)
    counts: dict[str, int] = {}
    for family, *_ in keys:
        counts[family] = counts.get(family, 0) + 1
    # With these, the mean over all questions is the mean over families.
    weights = {family: len(keys) / (len(counts) * count) for family, count in counts.items()}

    def compare(chosen: list[Key], weigh: Mapping[str, float]) -> FamilyComparison:
        own, other = ([answers[key]["score"] * weigh.get(key[0], 1.0) for key in chosen] for answers in (first, second))
        units = [first[key].get("image") or key[1] for key in chosen]
        seed = named_seed(0, chosen[0][0])
        test = paired_test(own, other, units, seed)
        return FamilyComparison(sum(own) / len(own), sum(other) / len(other), test)

    families = {family: compare([key for key in keys if key[0] == family], {}) for family in sorted(counts)}
    overall = compare(keys, weights)
    # The weighted questions serve the means and the permutation test, but not the bootstrap: a resample of all
    # questions would not keep the share of each family. So the interval is that of families resampled independently.
    resampled = np.mean([family.test.resampled for family in families.values()], axis=0)
    return {"overall": overall._replace(test=replace(overall.test, resampled=resampled)), **families}
