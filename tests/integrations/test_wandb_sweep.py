"""The real `wandb sweep` and `wandb agent`, and what arrives at the server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eaglebench.runs import read_run_config
from tests.helpers.wandb_standin import run_standin

SHIPPED = Path(__file__).parents[2] / "sweeps/table4_fusion.yaml"


@pytest.mark.slow
def test_an_agent_runs_a_sweep_and_its_scores_arrive(tmp_path: Path) -> None:
    sweep = yaml.safe_load(SHIPPED.read_text())
    fusions = ["channel_concat", "sequence_append"]
    sweep["parameters"] |= {
        "stages": {"value": "[sft]"},
        "experts": {"value": "[clip,sam]"},
        "fusion": {"values": fusions},
    }
    sweep["parameters"]["fast"] = {"value": True}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(sweep))
    with run_standin() as (server, own):
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {**os.environ, **own, "PATH": path, "OMP_NUM_THREADS": "1"}

        def wandb(*arguments: str) -> str:
            program = [sys.executable, "-m", "wandb", *arguments]
            done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        (name,) = re.findall(r"wandb agent (\S+)", wandb("sweep", "two.yaml"))
        wandb("agent", name)

    folders = {json.loads((path / "manifest.json").read_text())["run"]: path for path in tmp_path.glob("results/clip*")}
    assert len(folders) == len(server.runs) == 2
    for run in server.runs.values():
        folder = folders[run.fields["displayName"]]
        config = {key: entry["value"] for key, entry in json.loads(run.fields["config"]).items()}
        expected = read_run_config(folder)
        assert expected.pop("pretrained") == {}  # the server gets no empty mappings
        assert config["cfg"] == expected
        assert run.fields["sweep"] in server.sweeps
        assert config["fusion"] == config["cfg"]["fusion"]["name"]  # the sweep's own, as the file has it
        scores = json.loads((folder / "scores.json").read_text())
        (score,) = [row["eval/score"] for row in run.history if "eval/score" in row]
        assert score == run.summary["eval/score"] == scores["overall"]["score"]
        assert run.summary["eval/blind"] == scores["overall"]["blind"]
        assert [row["sft/step"] for row in run.history if "sft/loss" in row] == [6]
        assert run.exit_code == 0
