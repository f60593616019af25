"""A finished run: its folder, and what eval and predict make of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from eaglebench.data.synthetic.engine import FAMILIES
from eaglebench.zoo.shipped import SHIPPED
from tests.conftest import Outcome, turns, write_records


def test_the_folder_of_a_run(finished_run: Path) -> None:
    later = ("eval", "benchmarks")  # of other tests, which evaluate it again
    names = {path.name for path in finished_run.iterdir() if not path.name.startswith(later)}
    assert names == {
        "config.yaml",
        "manifest.json",
        "metrics.csv",
        "model.safetensors",
        "predictions.jsonl",
        "samples.png",
        "scores.json",
    }


def test_questions_without_room_for_their_answers_are_refused_before_anything_is_trained(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path
) -> None:
    outcome = command(
        *fast_store, f"store={tmp_path}/store", f"hydra.run.dir={tmp_path}/run", "evaluation.max_new_tokens=500"
    )
    assert outcome.code == 2
    assert "21 of 21 questions do not fit in llm.max_length=512" in outcome.err
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_the_scores(finished_run: Path) -> None:
    scores = json.loads((finished_run / "scores.json").read_text())
    assert set(scores["families"]) == set(FAMILIES)
    for row in (scores["overall"], *scores["families"].values()):
        always = {"score", "low", "high", "blind", "stderr", "n", "blind_shuffled", "blind_trained"}
        assert always <= set(row) <= always | {"types", "other_question"}
        assert 0 <= row["score"] <= 1
    assert scores["overall"]["n"] == sum(row["n"] for row in scores["families"].values())


def test_the_manifest_says_what_was_done(finished_run: Path) -> None:
    manifest = json.loads((finished_run / "manifest.json").read_text())
    labels = [stage["label"] for stage in manifest["stages"]]
    assert labels == ["pre_align/sam", "projector", "sft", "blind"]
    assert all(stage["steps"] > 0 for stage in manifest["stages"])
    assert {"torch", "lightning", "python", "commit"} <= set(manifest["versions"])


def test_the_picture_is_one(finished_run: Path) -> None:
    with Image.open(finished_run / "samples.png") as picture:
        assert picture.width > 600 and picture.height > 300


def test_metrics_of_every_stage_are_logged(finished_run: Path) -> None:
    header = (finished_run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"sft/loss", "pre_align/sam/loss", "eval/score"} <= set(header)


def test_an_expert_in_tiles_half_precision_and_adapters_is_stored_and_read_back(
    command: Callable[..., Outcome], fast_store: list[str], tmp_path: Path
) -> None:
    """Its weights stay as they were, its adapters train; a second run takes both from the store; the finished run
    gives its scores.
    """
    treated = ("experts.clip.high_res=tile", "experts.clip.image_size=128", "experts.clip.global_view=true")
    adapted = ("experts.sam.lora.rank=2", "experts.sam.dtype=bfloat16", "experts.sam.activation_checkpointing=true")
    usual = (
        f"store={tmp_path / 'store'}",
        "stages=[sft]",
        "stages.sft.lr.experts=1e-3",
        "evaluation.blind.steps=0",
        "evaluation.shuffled=false",
    )
    for name in ("first", "again"):
        outcome = command(*fast_store, *usual, *treated, *adapted, f"hydra.run.dir={tmp_path / name}")
        assert outcome.code == 0, outcome.err
        assert ("sft: taken from the store" in outcome.out) == (name == "again")
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    adapters = {key for key in first if ".lora_" in key}
    assert any(first[key].any() for key in adapters if ".lora_B." in key)
    half = {key for key in first if key.startswith("experts.sam.") and first[key].dtype == torch.bfloat16}
    assert half and not half & adapters
    shipped = load_file(SHIPPED / "sam.safetensors")
    assert torch.equal(first["experts.sam.network.pos_embed"], shipped["network.pos_embed"].to(torch.bfloat16))
    assert command("task=eval", f"run={tmp_path / 'first'}").code == 0
    scores = [
        json.loads((tmp_path / "first" / name / "scores.json").read_text())["overall"]["score"]
        for name in (".", "eval")
    ]
    assert scores[0] == scores[1]


def test_evaluating_again_gives_the_same_scores(command: Callable[..., Outcome], finished_run: Path) -> None:
    outcome = command("task=eval", f"run={finished_run}")
    assert outcome.code == 0, outcome.err
    again = json.loads((finished_run / "eval" / "scores.json").read_text())
    before = json.loads((finished_run / "scores.json").read_text())
    assert again == before


def test_blind_scores_of_a_model_that_the_store_has_no_more(
    command: Callable[..., Outcome], finished_run: Path, tmp_path: Path
) -> None:
    """They are left out, which is logged; evaluation.blind.steps=0 leaves them out too."""
    outcome = command("task=eval", f"run={finished_run}", f"store={tmp_path}")
    assert f"the model without images of this run is not in store={tmp_path}" in outcome.out
    for words in ([f"store={tmp_path}"], ["evaluation.blind.steps=0"]):
        assert command("task=eval", f"run={finished_run}", *words).code == 0
        scores = json.loads((finished_run / "eval" / "scores.json").read_text())
        assert "blind_shuffled" in scores["overall"] and "blind_trained" not in scores["overall"]


def test_evaluating_on_other_data(command: Callable[..., Outcome], finished_run: Path, tmp_path: Path) -> None:
    path = write_records(tmp_path, [{"id": "x", "image": "a.png", "conversations": turns("<image> colour", "red")}])
    outcome = command(
        "task=eval", f"run={finished_run}", "data=llava_json", f"data.val={path}", "evaluation.max_new_tokens=2",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert json.loads((finished_run / "eval" / "scores.json").read_text())["overall"]["n"] == 1


def test_a_finished_model_cannot_be_changed(command: Callable[..., Outcome], finished_run: Path) -> None:
    outcome = command("task=eval", f"run={finished_run}", "fusion=sequence_append")
    assert outcome.code == 2
    assert "fusion made the model of the finished run" in outcome.err


@pytest.mark.parametrize("with_image", [True, False])
def test_predict_prints_the_answer_alone(
    command: Callable[..., Outcome], finished_run: Path, tmp_path: Path, with_image: bool
) -> None:
    write_records(tmp_path, [])
    words = [f"image={tmp_path / 'a.png'}"] if with_image else []
    outcome = command("task=predict", f"run={finished_run}", "prompt='how many shapes'", *words)
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 1


def test_predict_refuses_a_missing_image(command: Callable[..., Outcome], finished_run: Path) -> None:
    outcome = command("task=predict", f"run={finished_run}", "prompt=hi", "image=none.png")
    assert outcome.code == 2
    assert "image=none.png does not exist" in outcome.err
