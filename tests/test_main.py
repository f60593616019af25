"""The command line: mistakes give one sentence, exit code 2 and no traceback."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, turns, write_records


def refused(outcome: Outcome) -> str:
    assert outcome.code == 2
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in outcome.err + outcome.out
    return lines[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["experts=[clip,nosuch]"], "choose from clip, convnext"),
        (["fusion=nosuch"], "choose from channel_concat"),
        (["experts=[]"], "leaves nothing to see with"),
        (["experts=[clip,clip]"], "clip twice"),
        (["experts.clip.image_size=60"], "nearest that fit are 56 and 64"),
        (["stages.sft.batch_size=0"], "stages.sft.batch_size=0 must be a whole number above 0"),
        (["experts.clip.nosuch=1"], "experts.clip.nosuch is unknown"),
        (["experts=[hf]"], "experts.hf.backbone is not set: its file in conf/ says what it takes"),
        (["experts.clip.image_size=abc"], "experts.clip.image_size=abc must be a whole number above 0"),
        (["experts.clip.heads=3"], "experts.clip cannot be built"),
        (["evaluation.batch_size=abc"], "evaluation.batch_size=abc must be a whole number above 0"),
        (["evaluation.default_metric=taste"], "choose from exact, exact_words, anls, relaxed"),
        (["+experts=[sam]"], "without the +"),
        (["trainer.accelerator=nosuch"], "trainer.accelerator=nosuch must be one of cpu, gpu"),
        (["trainer.accelerator=gpu"], "the trainer refuses its settings"),
        (["experts.sam_vary.image_size=32", "experts=[sam_vary]"], "does not fit its 64 px stride"),
        (["data=llava_json"], "data.train"),
        (["data=llava_json", "data.train=none.json"], "none.json does not exist"),
        (["task=eval", "run=nowhere"], "run=nowhere is not the folder of a finished run"),
        (["task=predict", "run=nowhere", "prompt=hi"], "run=nowhere is not the folder of a finished run"),
        (["run=nowhere"], "run belongs to task=eval or task=predict"),
        (["experts.clip.checkpoint=none.safetensors"], "none.safetensors of experts.clip does not exist"),
        (["+lr=1e-4"], "lr is unknown: there is experts.clip.lr, experts.sam.lr, "),
        (["~seed"], "there is no seed, which run_name refers to: leave it where it is, or set run_name too."),
        (["lr=1e-4"], "lr is unknown: there is experts.clip.lr"),
        (["+data.typo=1"], "data.typo is unknown"),
        (["stages.sft.lr=1e-4"], "stages.sft.lr=0.0001 would replace a group of fields"),
        (["+stages.sft.step=10"], "stages.sft.step is unknown: did you mean stages.sft.steps?"),
        (["seed=abc"], "seed=abc must be a whole number"),
        (["fusion=channel_concat,sva"], "add -m to run each"),
        (["~seed"], "seed"),
    ],
)
def test_a_mistake_is_one_sentence(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in refused(command("fast=true", *words))


def test_a_bad_record_is_one_sentence(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = {"id": "r7", "image": "a.png", "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt"}]}
    write_records(tmp_path, [record])
    assert "r7: turn 2 has no 'value'" in refused(command("fast=true", "data=llava_json", "data.train=data.json"))


def test_debug_shows_the_traceback(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("debug=true", "task=eval", "run=nowhere")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


def test_a_mistake_leaves_nothing_behind(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command("task=eval", "run=nowhere")
    command("fusion=nosuch")
    command("experts=[]")
    command("stages.sft.batch_size=0")
    (tmp_path / "results").rmdir()  # Hydra made it for the run
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"]])
def test_help_and_config_come_without_heavy_imports(words: list[str], tmp_path: Path) -> None:
    program = (
        "import sys, runpy; sys.argv = ['eaglebench', *sys.argv[1:]]\n"
        "try: runpy.run_module('eaglebench', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'lightning', 'timm', 'matplotlib'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert "HEAVY []" in done.stdout, done.stderr
    assert "experts" in done.stdout


def test_text_only_and_multi_turn_data_of_a_user(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_store: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    records = [
        {
            "id": f"r{index}",
            "image": "a.png",
            "conversations": turns("what is <image> this", "a square", "colour", "red"),
        }
        for index in range(20)
    ] + [{"id": f"t{index}", "conversations": turns("say hi", "hi")} for index in range(12)]
    write_records(tmp_path, records)
    write_records(tmp_path, records[18:22], "val.json")
    outcome = command(
        *fast_store,
        "data=llava_json",
        "data.train=data.json",
        "data.val=val.json",
        "data.image_root=.",
        "hydra.run.dir=run",
    )
    assert outcome.code == 0, outcome.err
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["families"]["all"]["n"] == 6  # two records of two turns, two of one
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [row["reference"] for row in rows] == ["a square", "red"] * 2 + ["hi"] * 2
    assert rows[-1]["image"] is None


def test_text_without_any_image(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_store: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path, [{"conversations": turns("say hi", "hi")}] * 20)
    words = [*fast_store, "data=llava_json", "data.train=data.json", "hydra.run.dir=run"]
    assert "pre_align trains on images" in refused(command(*words, "stages=[pre_align,sft]"))
    assert command(*words, "stages=[sft]").code == 0


def test_a_users_own_family_and_metric(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_store: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    conversation = [{"from": "human", "value": "say hi"}, {"from": "gpt", "value": "hi", "family": "mine"}]
    write_records(tmp_path, [{"conversations": conversation}] * 20)
    outcome = command(
        *fast_store, "data=llava_json", "data.train=data.json", "data.val=data.json", "evaluation.metrics.mine=anls",
        "stages=[sft]", "hydra.run.dir=run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert set(json.loads((tmp_path / "run" / "scores.json").read_text())["families"]) == {"mine"}
    assert [*json.loads((tmp_path / "run" / "manifest.json").read_text())["inputs"]] == ["data.json"]


def test_without_held_out_data_nothing_is_evaluated(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_store: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path, [{"conversations": turns("say hi", "hi")}] * 20)
    outcome = command(*fast_store, "data=llava_json", "data.train=data.json", "hydra.run.dir=run", "stages=[sft]")
    assert outcome.code == 0, outcome.err
    assert "data.val is not set" in outcome.out
    assert not (tmp_path / "run" / "scores.json").exists()
    outcome = command("task=eval", "run=run")
    assert "nothing to evaluate" in refused(outcome)


def test_a_reused_run_trains_nothing(
    command: Callable[..., Outcome], finished_run: Path, fast_store: list[str], tmp_path: Path
) -> None:
    outcome = command(*fast_store, f"hydra.run.dir={tmp_path}")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("taken from the store") == 4
    assert (tmp_path / "scores.json").read_text() == (finished_run / "scores.json").read_text()
    assert (tmp_path / "model.safetensors").read_bytes() == (finished_run / "model.safetensors").read_bytes()
