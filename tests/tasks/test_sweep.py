"""A sweep without an account: failures do not stop it, finished runs are not repeated, the best comes first."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from eaglebench.search.trials import Trial, TrialResult
from eaglebench.tasks.sweep import results_table
from tests.conftest import Outcome

SHIPPED = Path(__file__).parents[2] / "sweeps/table4_fusion.yaml"


def write(folder: Path, sweep: object, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(sweep, sort_keys=False))
    return path


@pytest.mark.slow
def test_a_sweep_is_run_once_and_ranked(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point of a file that ships, and one that cannot work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    shipped = yaml.safe_load(SHIPPED.read_text())
    of_trainer = {"trainer.precision": {"values": ["nosuch", "32-true"]}}
    sweep = {
        **shipped,
        "parameters": of_trainer
        | shipped["parameters"]
        | {"experts": {"value": "[clip,sam]"}, "fusion": {"value": "sequence_append"}},
    }
    overrides = [
        "task=sweep",
        f"sweep={write(tmp_path, sweep)}",
        "launcher.at_once=2",
        "logger=[csv,wandb]",
        *fast_store,
    ]
    first = command(*overrides)
    assert first.code == 2
    assert "1/2 trainer.precision=nosuch: trainer.precision=nosuch is unknown: choose from" in first.out
    assert first.err == "error: 1 of 2 runs failed; the same command runs them again, and no others.\n"
    (written,) = Path("results").glob("sweep-mine-*.json")
    rows = json.loads(written.read_text())
    assert [row["parameters"]["trainer.precision"] for row in rows] == ["32-true", "nosuch"]
    (folder,) = Path("results").glob("clip+sam-sequence_append-*")
    assert rows[0]["run"] == folder.name
    assert rows[0]["score"] == json.loads((folder / "scores.json").read_text())["overall"]["score"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (list(config["stages"]), config["fast"], config["task"]["name"]) == (["projector", "sft"], True, "train")
    assert config["logger"]["wandb"]["group"] == "mine"
    assert (rows[1]["run"], "score" in rows[1]) == (None, False)

    of_the_run = (folder / "manifest.json").read_bytes()
    again = command(*overrides)
    assert f"{rows[0]['score']:.4f} (finished before)" in again.out
    assert (folder / "manifest.json").read_bytes() == of_the_run
    assert again.out.index(folder.name) < again.out.index("failed")


@pytest.mark.parametrize(
    ("sweep", "overrides", "message"),
    [
        (
            {"method": "bayes", "parameters": {"seed": {"min": 0, "max": 9}}},
            [],
            "which asks W&B for the next point: use wandb sweep",
        ),
        ({"method": "grid"}, [], "has no parameters: it must be a sweep file of W&B"),
        ({"method": "grid", "parameters": {"seed": 3}}, [], "seed needs value, values, or a distribution"),
        ({"method": "grid", "parameters": {"seed": {"values": 3}}}, [], "seed needs a list of values, values: [1, 2]"),
        ({"method": "grid", "parameters": {"seed": {"max": 3}}}, [], "seed needs two bounds, min: 1 and max: 2"),
        (
            {"method": "grid", "parameters": {"seed": {"distribution": "int_uniform"}}},
            [],
            "seed needs two whole bounds",
        ),
        (
            {"method": "random", "run_cap": "5", "parameters": {"seed": {"value": 3}}},
            [],
            "run_cap: 5 is not a number of runs",
        ),
        (
            {
                "method": "random",
                "run_cap": 5,
                "parameters": {"lr": {"distribution": "log_uniform_values", "min": 0, "max": 1}},
            },
            [],
            "lr has a logarithm, which needs min above 0",
        ),
        ({"method": "grid", "parameters": {"seed": {"values": [0, 1]}}}, ["seed=3"], "seed is set by"),
        (
            {"method": "grid", "parameters": {"seed": {"values": [0, 1]}}},
            ["launcher.at_once=0"],
            "launcher.at_once=0 must be a whole number above 0",
        ),
    ],
)
def test_what_cannot_be_run_here_is_refused(
    sweep: object, overrides: list[str], message: str, command: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = command("task=sweep", f"sweep={write(tmp_path, sweep)}", *overrides)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_missing_file_is_one_sentence(command: Callable[..., Outcome]) -> None:
    assert "sweep=nosuch.yaml cannot be read" in command("task=sweep", "sweep=nosuch.yaml").err
    assert "task=sweep needs a file: sweep=sweeps/table4_fusion.yaml" in command("task=sweep").err


def test_a_table_shows_lists_and_errors_as_they_are() -> None:
    """Brackets are no markup."""
    folder = Path("results/a")
    scores = {"overall": {"score": 0.5, "stderr": 0.1, "n": 3}}
    points = [{"experts": "[clip]"}, {"experts": "[clip,sam]"}]
    trials = [Trial(str(point), ()) for point in points]
    results = [
        TrialResult(trials[0], folder, scores),
        TrialResult(trials[1], folder, None, error="no [/usr/lib/x.so]"),
    ]
    console = Console(width=200, record=True, quiet=False, file=StringIO())
    console.print(results_table("mine", list(zip(points, results, strict=True)), ["experts"]))
    shown = console.export_text()
    assert "[clip]" in shown and "[clip,sam]" in shown and "no [/usr/lib/x.so]" in shown
