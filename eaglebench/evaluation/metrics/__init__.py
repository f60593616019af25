"""Metrics of one answer and aggregates of many, by name.

A metric takes an answer and its references and gives a score in [0, 1]. An aggregate takes the rows of all answers to a
benchmark and gives one number.
"""

from collections.abc import Callable

from eaglebench.evaluation.metrics import ocr, ocr_scene
from eaglebench.evaluation.metrics.aggregate import circular, count, groups, mean
from eaglebench.evaluation.metrics.anls import anls
from eaglebench.evaluation.metrics.base import Metric
from eaglebench.evaluation.metrics.choice import DIFFERS as CHOICE_DIFFERS
from eaglebench.evaluation.metrics.choice import choice
from eaglebench.evaluation.metrics.contains import contains, contains_formula
from eaglebench.evaluation.metrics.exact import exact, exact_words
from eaglebench.evaluation.metrics.letter import ai2d, mmvp, scienceqa, seed
from eaglebench.evaluation.metrics.mathvista import DIFFERS as MATHVISTA_DIFFERS
from eaglebench.evaluation.metrics.mathvista import mathvista
from eaglebench.evaluation.metrics.mmbench import DIFFERS as MMBENCH_DIFFERS
from eaglebench.evaluation.metrics.mmbench import mmbench
from eaglebench.evaluation.metrics.mme import mme, sum_perception
from eaglebench.evaluation.metrics.mmmu import DIFFERS as MMMU_DIFFERS
from eaglebench.evaluation.metrics.mmmu import mmmu
from eaglebench.evaluation.metrics.mmmu_open import DIFFERS as MMMU_OPEN_DIFFERS
from eaglebench.evaluation.metrics.mmmu_open import mmmu_open
from eaglebench.evaluation.metrics.named_letter import realworldqa
from eaglebench.evaluation.metrics.ocr import bleu, edit, f1, meteor, precision, recall
from eaglebench.evaluation.metrics.ocr_scene import scene_bleu, scene_f1, scene_meteor, scene_precision, scene_recall
from eaglebench.evaluation.metrics.pope import pope, yes_f1
from eaglebench.evaluation.metrics.relaxed import relaxed
from eaglebench.evaluation.metrics.rows import AnswerRows
from eaglebench.evaluation.metrics.vqa import vqa, vqa_words
from eaglebench.evaluation.metrics.yes_no import DIFFERS as YES_NO_DIFFERS
from eaglebench.evaluation.metrics.yes_no import yes_no

METRICS = {
    "exact": Metric(exact),
    "exact_words": Metric(exact_words),
    "anls": Metric(anls),
    "relaxed": Metric(relaxed),
    "vqa": Metric(vqa, keeps_blank=True),
    "vqa_words": Metric(vqa_words, keeps_blank=True),
    "choice": Metric(choice, CHOICE_DIFFERS),
    "yes_no": Metric(yes_no, YES_NO_DIFFERS),
    "contains": Metric(contains),
    "contains_formula": Metric(contains_formula),
    "edit": Metric(edit, ocr.EDIT_DIFFERS),
    "precision": Metric(precision, ocr.ROLES_DIFFER),
    "recall": Metric(recall, ocr.ROLES_DIFFER),
    "f1": Metric(f1, ocr.F1_DIFFERS),
    "bleu": Metric(bleu, ocr.BLEU_DIFFERS),
    "meteor": Metric(meteor, ocr.METEOR_DIFFERS),
    "scene_precision": Metric(scene_precision, ocr_scene.ROLES_DIFFER),
    "scene_recall": Metric(scene_recall, ocr_scene.ROLES_DIFFER),
    "scene_f1": Metric(scene_f1, ocr_scene.F1_DIFFERS),
    "scene_bleu": Metric(scene_bleu, ocr_scene.BLEU_DIFFERS),
    "scene_meteor": Metric(scene_meteor, ocr_scene.METEOR_DIFFERS),
    # Of one benchmark each.
    "ai2d": Metric(ai2d),
    "mathvista": Metric(mathvista, MATHVISTA_DIFFERS),
    "mmbench": Metric(mmbench, MMBENCH_DIFFERS, needs_choices=True),
    "mme": Metric(mme),
    "mmmu": Metric(mmmu, MMMU_DIFFERS, needs_choices=True),
    "mmmu_open": Metric(mmmu_open, MMMU_OPEN_DIFFERS),
    "mmvp": Metric(mmvp),
    "pope": Metric(pope),
    "realworldqa": Metric(realworldqa),
    "scienceqa": Metric(scienceqa),
    "seed": Metric(seed),
}
AGGREGATES: dict[str, Callable[[AnswerRows], float]] = {
    "mean": mean,
    "count": count,
    "groups": groups,
    "circular": circular,
    "mme": sum_perception,
    "yes_f1": yes_f1,
}
