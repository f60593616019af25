"""What Weights & Biases gets of a run, without an account."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from eaglebench.data.open_image import open_image
from eaglebench.integrations.wandb import resolve_mode
from eaglebench.runs import read_run_config
from eaglebench.utils.errors import UserError
from tests.conftest import Outcome


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "kept"))  # what waits to be uploaded


def records(folder: Path) -> list[dict[str, Any]]:
    """What the files of an offline run hold, read by W&B's own program."""
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    done = subprocess.run(read, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_offline_run_has_everything(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["logger=[csv,wandb]", "logger.wandb.group=mine", "logger.wandb.tags=[one,two]", "stages=[sft]"]
    folder = tmp_path / "run"
    outcome = command(*fast_store, *overrides, "stages.sft.steps=12", "validation.every=5", f"hydra.run.dir={folder}")
    assert outcome.code == 0, outcome.err
    (logged,) = [line for line in outcome.out.splitlines() if line.startswith("W&B: ")]
    offline = Path(logged.partition("W&B: logged offline; to upload it: wandb sync ")[2])
    assert offline.parent == Path("run/wandb")

    found = records(offline)
    of_kind = {kind: [one[kind] for one in found if one["type"] == kind] for kind in {one["type"] for one in found}}
    (run,) = of_kind["run"]
    config = read_run_config(folder)
    assert (run["project"], run["display_name"]) == ("eaglebench", config["run_name"])
    assert (run["run_group"], run["tags"]) == ("mine", ["one", "two"])
    (update,) = [one["update"] for one in of_kind["config"] if "cfg" in one["update"]]
    assert update["cfg"] == config
    assert any("proc.memory.rssMB" in one["item"] for one in of_kind["stats"])
    assert of_kind["exit"][0].get("exit_code", 0) == 0

    axes = {one["name"]: one.get("step_metric") for one in of_kind["metric"] if "name" in one}
    history = [one["item"] for one in of_kind["history"]]
    for name, steps in (("sft/loss", [10]), ("sft/validation score", [5, 10]), ("blind/loss", [2])):
        unit = name.partition("/")[0]
        assert axes[name] == f"{unit}/step"
        assert [row[f"{unit}/step"] for row in history if name in row] == steps
    curves = [
        row
        for row in history
        if any("/" in name for name in row) and "parts._type" not in row and "scores._type" not in row
    ]
    assert not any({"epoch", "trainer/global_step"} & set(row) for row in curves)

    scores = json.loads((folder / "scores.json").read_text())
    summary: dict[str, Any] = {}
    for one in of_kind["summary"]:
        summary |= one["update"]
    for name, value in scores["overall"].items():
        assert summary[f"eval/{name}"] == value
    for name, row in scores["families"].items():
        assert summary[f"eval/{name}"] == row["score"]
    assert axes["eval/score"] is None

    kept = {one["name"].rpartition("-")[2]: one["manifest"]["contents"] for one in of_kind["artifact"]}
    tables = {name: table(contents, name) for name, contents in kept.items()}
    parts = {row["part"]: row for row in tables["parts"]}
    assert parts["experts.clip"] == {
        "part": "experts.clip",
        "parameters": 116608,
        "output shape": "64 px -> 4x4x256",
        "sft": 0.0,
    }
    expected = {**scores["families"], "overall": scores["overall"]}
    named = {row["family"]: row["score"] for row in tables["scores"]}
    assert {name: named[name] for name in expected} == {name: row["score"] for name, row in expected.items()}
    types = {
        f"{name}: {kind}": own["score"] for name, row in expected.items() for kind, own in row.get("types", {}).items()
    }
    assert types and {name: score for name, score in named.items() if name not in expected} == types
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    answers = {row["id"]: row for row in map(json.loads, lines)}
    assert {row["family"] for row in tables["samples"]} == set(scores["families"])
    images = {one["path"]: Path(one["local_path"]) for one in kept["samples"]}
    for row in tables["samples"]:
        image = images[row.pop("image")["path"]]
        assert open_image(image).tobytes() == open_image(answers[row["id"]]["image"]).tobytes()
        assert row == {name: answers[row["id"]][name] for name in row}
        assert set(row) == {"id", "family", "question", "reference", "prediction", "score"}


def table(contents: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows of a table that was kept."""
    (path,) = [Path(one["local_path"]) for one in contents if one["path"] == f"{name}.table.json"]
    found = json.loads(path.read_text())
    return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]


def test_online_without_an_account_is_refused_and_no_question_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="knows no account to log online with: run wandb login"):
        resolve_mode(None)
    assert resolve_mode("offline") == "offline"


def test_a_version_whose_login_always_asks_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def login(verify: bool = False) -> bool:
        raise AssertionError("it asks")

    monkeypatch.setattr(wandb, "login", login)
    monkeypatch.setattr(wandb, "api", SimpleNamespace(api_key=None), raising=False)
    assert resolve_mode(None) == "offline"
    monkeypatch.setattr(wandb, "api", SimpleNamespace(api_key="0123"), raising=False)
    assert resolve_mode(None) is None
