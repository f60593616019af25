"""Run folders of every kind that a report meets: what it looks like is tried on them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.helpers.run_folders import resolve_config, write_images, write_run

EXPERTS = (["clip"], ["sam"], ["clip", "sam"], ["clip", "convnext"], ["clip", "convnext", "sam", "eva02", "pix2struct"])
FUSIONS = ("channel_concat", "sequence_append", "deformable")
LONG = "a-file-with-a-very-long-name-that-somebody-chose-" * 4 + ".json"


def describe_run(
    experts: Sequence[str], fusion: str = "channel_concat", steps: int = 550, rate: float = 1e-3, **groups: Any
) -> dict[str, Any]:
    """The groups of a config that such a run differs in; composed from few configs, which takes the longest."""
    everything = resolve_config(f"experts=[{','.join(EXPERTS[-1])}]")
    sft = {**everything["stages"]["sft"], "steps": steps, "lr": {"experts": rate, "fusion": rate, "llm": rate}}
    return {
        "experts": {name: everything["experts"][name] for name in experts},
        "fusion": resolve_config(f"fusion={fusion}")["fusion"],
        "stages": {**everything["stages"], "sft": sft},
        **groups,
    }


def write_many_runs(folder: Path) -> list[Path]:
    """Some forty run folders: three sets of questions, smoke tests, benchmarks, odd and damaged ones."""
    images = write_images(folder.parent / "images", 8)
    runs = [
        write_run(
            folder / f"{'+'.join(experts)}-{fusion}-tiny-s{seed}-{number:02x}0000",
            fields=describe_run(experts, fusion, steps),
            seed=seed,
            skill=0.3 + 0.03 * number + 0.01 * seed,
            images=images,
            questions=60,
        )
        for number, (experts, fusion, steps) in enumerate(
            [(experts, fusion, 550) for experts in EXPERTS for fusion in FUSIONS] + [(["clip"], FUSIONS[0], 1100)]
        )
        for seed in ((0, 1) if number < 4 else (0,))
    ]
    data = {**resolve_config()["data"], "source": "llava_json", "val": "held_out.json"}
    for number, (name, rate) in enumerate((("my.json", 1e-3), ("my.json", 2e-3), (LONG, 1e-3))):
        own = describe_run(["clip"], rate=rate, data={**data, "train": name})
        runs.append(write_run(folder / f"own-{number}", fields=own, skill=0.8 - 0.1 * number, asked="what is"))
    for number, experts in enumerate(EXPERTS):
        smoke = describe_run(experts, fast=True)
        runs.append(write_run(folder / f"smoke-{number}", fields=smoke, skill=0.95, asked="smoke", questions=10))
    runs += [write_odd_run(folder, kind) for kind in ODD]
    for number, run in enumerate(runs):
        save_file({"x": np.zeros(10 ** (2 + number % 5))}, run / "model.safetensors")
    return runs


ODD = (
    "no-blind", "no-scores", "not-ended", "older-version", "older-scores", "benchmarks", "other-benchmark",
    "no-predictions", "huge", "torn-predictions",
    "a-run-whose-name-is-as-long-as-a-name-of-a-file-can-be-because-somebody-wrote-every-field-into-it-" + "x" * 120,
)  # fmt: skip


def write_odd_run(folder: Path, kind: str) -> Path:
    """A run folder that its name describes."""
    run = write_run(
        folder / kind, fields=describe_run(["sam"]), seed=ODD.index(kind), blind=None if kind == "no-blind" else 0.12
    )
    scores = json.loads((run / "scores.json").read_text())
    if kind in ("no-scores", "no-predictions"):
        (run / f"{kind[3:]}.json{'l' if kind == 'no-predictions' else ''}").unlink()
    elif kind == "not-ended":
        (run / "manifest.json").unlink()
    elif kind == "older-version":
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("config_version: 2", "config_version: 1"))
    elif kind == "older-scores":
        for row in (scores["overall"], *scores["families"].values()):
            row.pop("low", None), row.pop("high", None)
        (run / "scores.json").write_text(json.dumps(scores))
    elif kind.endswith(("benchmarks", "benchmark")):
        write_benchmark(run, "gqa", asked=kind)
    elif kind == "huge":
        scores["overall"] |= {"score": 123456.789, "low": -1e30, "high": 1e30, "n": 10**12}
        (run / "scores.json").write_text(json.dumps(scores))
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["stages"][0]["seconds"] = 1e9
        (run / "manifest.json").write_text(json.dumps(manifest))
    elif kind == "torn-predictions":
        (run / "predictions.jsonl").write_text((run / "predictions.jsonl").read_text()[:-40])
    return run


def write_benchmark(run: Path, name: str, asked: str) -> None:
    """The scores and predictions that task=eval writes for one benchmark; `asked` is its question."""
    row = {"score": 0.6, "low": 0.5, "high": 0.7, "stderr": 0.05, "n": 1, "blind": 0.4, "figure": 60.0}
    (run / "benchmarks" / name).mkdir(parents=True)
    (run / "benchmarks/scores.json").write_text(json.dumps({"overall": row, "families": {name: row}}))
    answer = {"id": "b0", "image": None, "family": name, "question": asked, "reference": "yes", "prediction": "yes"}
    (run / "benchmarks" / name / "predictions.jsonl").write_text(json.dumps({**answer, "score": 1.0}) + "\n")
