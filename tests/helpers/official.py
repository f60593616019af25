"""The metrics of lmms-eval 0.7 by the names of ours, for comparisons with ours.

lmms-eval need not be installed to import this: it is imported by the first call. Where it is installed, this writes
what it gives for the edge cases of every metric:

    uv run --extra lmms python -m tests.helpers.official tests/evaluation/metrics/official.json
"""

import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from tests.helpers.answer_pairs import list_edges

Score = Callable[[str, Sequence[str], Sequence[str]], float]
GUESS = "?"  # in place of the option that MMMU's script draws at random


def load(module: str) -> Any:
    """A module of lmms-eval."""
    return importlib.import_module(f"lmms_eval.{module}")


def exact_words(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    return max(compare_exactly(answer.strip(), reference) for reference in references)


def compare_exactly(answer: str, reference: str) -> float:
    return float(
        load("api.metrics").exact_match_hf_evaluate(
            predictions=[answer], references=[reference], ignore_case=True, ignore_punctuation=True
        )["exact_match"]
    )


def anls(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    return float(load("api.metrics").anls(list(references), [answer.strip()])["anls"])


def relaxed(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    judge = load("tasks.chartqa.utils").relaxed_correctness
    return float(any(judge(answer.strip(), reference) for reference in references))


def vqa(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    answers = [{"answer": text, "answer_id": place} for place, text in enumerate(references)]
    result = load("tasks.vqav2.utils").vqav2_process_results({"answers": answers, "question_id": 1}, [answer.strip()])
    return float(result["exact_match"])


def vqa_words(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    scores = {
        float(score({"answers": list(references), "question_id": 1}, [answer.strip()])["exact_match"])
        for score in (
            load("tasks.textvqa.utils").textvqa_process_results,
            load("tasks.vizwiz_vqa.utils").vizwiz_vqa_process_results,
        )
    }
    (score,) = scores  # both tasks score alike
    return score


def seed(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    utils = load("tasks.seedbench.utils")
    doc = {"answer": references[0], "data_type": "image", "question_id": 1}
    return float(utils.seed_aggregation_result([utils.seed_process_result(doc, [answer.strip()])["seed_image"]]))


def ai2d(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    (filtered,) = load("tasks.ai2d.utils").MultiChoiceRegexFilter(r"([A-Z])\.").apply([[answer]], [{}])
    return compare_exactly(filtered.strip(), references[0])


def scienceqa(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    doc = {"choices": list("ABCDE"), "answer": "ABCDE".index(references[0])}
    return float(load("tasks.scienceqa.utils").sqa_process_results(doc, [answer.strip()])["exact_match"])


def mmvp(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    doc = {"Correct Answer": f"({references[0].lower()})", "Index": 1}
    return float(load("tasks.mmvp.utils").mmvp_process_results(doc, [answer.strip()])["mmvp_accuracy"]["is_correct"])


def realworldqa(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    score = load("tasks.realworldqa.utils").realworldqa_process_results
    return max(float(score({"answer": reference}, [answer.strip()])["exact_match"]) for reference in references)


def mmbench(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    from pandas import DataFrame

    row = {"index": 1, "question": "q", "prediction": answer.strip(), **dict.fromkeys("ABCD")}
    judge = load("tasks.mmbench.mmbench_evals").MMBench_Evaluator()
    data = DataFrame([row | dict(zip("ABCD", choices, strict=False))])
    return float(judge.eval_sub_data(data, {1: references[0]}, static_only=True))


def mmmu(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    doc = {"options": repr(list(choices)), "question_type": "multiple-choice", "answer": list(references)}
    with mock.patch("random.choice", return_value=GUESS):
        return score_mmmu(answer, doc)


def mmmu_open(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    return score_mmmu(answer, {"question_type": "open", "answer": list(references)})


def score_mmmu(answer: str, doc: dict[str, Any]) -> float:
    utils = load("tasks.mmmu.utils")
    result = utils.mmmu_process_results({"id": "validation_Art_1", **doc}, [answer.strip()])
    _, metrics = utils.evaluate_mmmu([result["mmmu_acc"]])
    return float(metrics["acc"])


def mathvista(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    """With a language model that repeats the answer it is to read."""
    os.environ.setdefault("OPENAI_API_KEY", "none")  # its client wants one, and is not called
    judge = load("tasks.mathvista.utils").mathvista_evaluator
    target = references[-1]
    precision = len(target.partition(".")[2])
    number = "float" if precision else "integer"
    kind = "text" if choices else "list" if target.startswith("[") else number
    question = "multi_choice" if choices else "free_form"
    problem = {"question_type": question, "answer_type": kind, "query": "", "choices": choices}
    with mock.patch.object(judge, "get_chat_response", return_value=answer.strip()):
        extraction = judge.extract_answer(answer.strip(), problem)
    prediction = judge.normalize_extracted_answer(extraction, choices, question, kind, precision)
    return float(judge.safe_equal(prediction, target))


def mme(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    doc = {"answer": references[0], "category": "count", "question_id": "1"}
    return float(load("tasks.mme.utils").mme_process_results(doc, [answer.strip()])["mme_perception_score"]["score"])


def pope(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    doc = {"answer": references[0], "question_id": 1}
    return float(load("tasks.pope.utils").pope_process_results(doc, [answer.strip()])["pope_accuracy"]["score"])


def contains(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    return score_ocrbench(answer, references, "TextVQA")


def contains_formula(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    return score_ocrbench(answer, references, "HME100k")


def score_ocrbench(answer: str, references: Sequence[str], dataset: str) -> float:
    doc = {"answer": list(references), "dataset": dataset, "question_type": "Doc-oriented VQA"}
    result = load("tasks.ocrbench.utils").ocrbench_process_results(doc, [answer.strip()])
    return float(result["ocrbench_accuracy"]["score"])


OFFICIAL: dict[str, Score] = {
    score.__name__: score
    for score in (
        exact_words, anls, relaxed, vqa, vqa_words, contains, contains_formula, ai2d, mathvista, mmbench, mme, mmmu,
        mmmu_open, mmvp, pope, realworldqa, scienceqa, seed,
    )
}  # fmt: skip


def yes_f1(rows: Sequence[Mapping[str, Any]]) -> float:
    utils = load("tasks.pope.utils")
    results = [
        utils.pope_process_results({"answer": row["references"][0], "question_id": 1}, [row["prediction"]])
        for row in rows
    ]
    return float(utils.pope_aggregate_f1_score([result["pope_f1_score"] for result in results]))


def sum_perception(rows: Sequence[Mapping[str, Any]]) -> float:
    results = [
        {"question_id": row["meta"]["image"], "category": row["meta"]["category"], "score": row["score"]}
        for row in rows
    ]
    return float(load("tasks.mme.utils").mme_aggregate_results(results))


def groups(rows: Sequence[Mapping[str, Any]]) -> float:
    results = [{"pair_index": row["meta"]["category"], "is_correct": bool(row["score"])} for row in rows]
    return float(load("tasks.mmvp.utils").mmvp_aggregate_pair_results(results))


def circular(rows: Sequence[Mapping[str, Any]]) -> float:
    """Each question of MMBench is asked in as many rotations as rows say."""
    results, rotations = [], dict[str, int]()
    for row in rows:
        question = row["meta"]["rotations_of"]
        rotation = rotations[question] = rotations.get(question, -1) + 1
        answer = {"prediction": "A" if row["score"] else "B", "answer": "A", "A": "a cat", "B": "a dog"}
        index = int(question) + rotation * 1_000_000
        results.append({"index": index, "question": "q", "category": "c", "C": None, "D": None, **answer})
    overall, *_ = load("tasks.mmbench.mmbench_evals").MMBench_Evaluator().eval_result(results, "static")
    return float(overall)


OFFICIAL_AGGREGATES = {"yes_f1": yes_f1, "mme": sum_perception, "groups": groups, "circular": circular}


def score_edges() -> dict[str, dict[str, dict[str, float]]]:
    """The scores above 0 of the edge cases, by metric, references and answer."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for metric, official in OFFICIAL.items():
        for pair in list_edges(metric):
            if score := official(*pair):
                scores.setdefault(metric, {}).setdefault(pair.question, {})[pair.prediction] = round(score, 6)
    return scores


if __name__ == "__main__":
    golden = {"lmms-eval": importlib.metadata.version("lmms-eval"), "scores": score_edges()}
    Path(sys.argv[1]).write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
