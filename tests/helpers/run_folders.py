"""Run folders as trainings leave them, made in milliseconds."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from eaglebench.config.compose import compose_command
from eaglebench.runs import write_run_config

FAMILIES = ("area", "attributes", "chart", "counting", "text")


@cache
def resolve_config(*overrides: str) -> Mapping[str, Any]:
    """The resolved config of a command as plain data."""
    return compose_command(overrides, check=False).resolved


def write_images(folder: Path, count: int, side: int = 64) -> list[Path]:
    """Images of noise in different colours."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        noise = Image.effect_noise((side, side), 60)
        Image.merge("RGB", (noise, noise.rotate(90), Image.new("L", noise.size, index * 7 % 256))).save(path)
    return paths


def write_run(
    folder: Path,
    overrides: Sequence[str] = (),
    *,
    seed: int = 0,
    skill: float = 0.5,
    images: Sequence[Path] = (),
    questions: int = 20,
    answer: str = "yes",
    asked: str = "question",
    blind: float | None = 0.1,
    fields: Mapping[str, Any] | None = None,
) -> Path:
    """A finished run whose answers are right with the probability `skill`; `answer` is the right one.

    `asked` begins every question: with another one, runs answered different questions. `blind` is the no-image score.
    `fields` takes the place of top-level fields of the config.
    """
    random = Random(f"{folder.name} {seed}")
    folder.mkdir(parents=True)
    write_run_config(folder, {**resolve_config(*overrides), "seed": seed, **(fields or {})})
    rows: list[dict[str, Any]] = []
    for index in range(questions):
        right = random.random() < skill
        rows.append(
            {
                "id": f"q{index}",
                "image": str(images[index % len(images)]) if images else None,
                "family": FAMILIES[index % len(FAMILIES)],
                "question": f"{asked} {index}?",
                "reference": answer,
                "references": [answer],
                "prediction": answer if right else "no",
                "score": float(right),
            }
        )
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    without = {} if blind is None else {"blind": blind}
    families = {
        name: {"score": round(random.uniform(skill - 0.1, skill + 0.1), 4), "stderr": 0.02, "n": 4, **without}
        for name in FAMILIES
    }
    overall = {"score": skill, "low": skill - 0.03, "high": skill + 0.03, "stderr": 0.015, "n": questions, **without}
    (folder / "scores.json").write_text(json.dumps({"overall": overall, "families": families}))
    steps = "".join(f"{0 if step < 300 else 1},{step},{2 - step / 600:.4f},\n" for step in range(9, 600, 10))
    (folder / "metrics.csv").write_text(f"epoch,step,sft/loss,eval/score\n{steps}0,599,,{skill}\n")
    stages = [{"label": "sft", "seconds": 100 * skill + seed}, {"label": "blind", "seconds": 9.0}]
    (folder / "manifest.json").write_text(json.dumps({"run": folder.name, "seed": seed, "stages": stages}))
    return folder


def write_predictions(folder: Path, scores: dict[str, list[float]]) -> Path:
    """A folder with predictions alone, given their scores by family."""
    folder.mkdir()
    rows = [
        {
            "family": family,
            "id": f"{family}{index}",
            "question": "q",
            "image": f"{index}.png",
            "reference": "r",
            "prediction": "p",
            "score": score,
        }
        for family, own in scores.items()
        for index, score in enumerate(own)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    return folder
