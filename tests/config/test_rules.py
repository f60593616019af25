"""Fields that are right by themselves and cannot work together are refused in one sentence."""

import pytest

from eaglebench.config.command_line import prepare_arguments
from eaglebench.config.compose import compose_command
from eaglebench.utils.errors import UserError


def refusal(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        compose_command(prepare_arguments(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["experts=[]"], "experts=[] leaves nothing to see with"),
        (
            ["experts.clip.image_size=60"],
            "experts.clip.image_size=60 is not a multiple of its patch of 8: the nearest that fit are 56 and 64",
        ),
        (
            ["experts.clip.high_res=tile", "experts.clip.image_size=100"],
            "is not a multiple of its native side (high_res=tile) of 64",
        ),
        (
            ["experts.clip.high_res=tile", "experts.clip.native_size=null"],
            "experts.clip.high_res=tile needs experts.clip.native_size",
        ),
        (
            ["experts.clip.dtype=bfloat16"],
            "experts.clip.dtype=bfloat16 is a precision too low to train in: add experts.clip.frozen=true",
        ),
        (
            ["size=full", "data.train=x.json"],
            "experts.clip.checkpoint is not set: at size=full give the file of its weights, pretrained.clip=FILE",
        ),
        (["pretrained.samm=x"], "pretrained.samm is unknown: did you mean pretrained.sam?"),
        (["stages=[]"], "stages=[] trains nothing"),
        (["stages.sft.epochs=1"], "stages.sft needs either steps or epochs"),
        (["stages.sft.steps=null"], "stages.sft needs either steps or epochs"),
        (["evaluation.blind.epochs=1"], "evaluation.blind needs either steps or epochs"),
        (['stages.sft.data=""'], "stages.sft.data is not set"),
        (["data=llava_json"], "data.train is not set: give your LLaVA file, data.train=my.json."),
        (["data.val=x.json"], "data.val is for a file of your own: add data=llava_json."),
        (
            ["world.mixture={shapes: 0, pile: 0, text: 0, document: 0, chart: 0}"],
            "world.mixture must have a share above 0",
        ),
        (["evaluation.default_metric=taste"], "evaluation.default_metric=taste is unknown: choose from exact"),
        (["evaluation.metrics.text=anl"], "evaluation.metrics.text=anl is unknown: did you mean anls?"),
        (["task=eval", "run=x", "evaluation=eagle11"], "evaluation.benchmarks has no file"),
        (
            ["task=eval", "run=x", "evaluation=eagle11", "evaluation.benchmarks.gqq=x"],
            "evaluation.benchmarks.gqq is unknown: did you mean evaluation.benchmarks.gqa?",
        ),
        (["evaluation=lmms_eval"], "evaluation=lmms_eval belongs to task=eval"),
        (["task=eval", "run=x", "evaluation=lmms_eval"], "evaluation.tasks is not set"),
        (["task=eval"], "task=eval needs run=FOLDER"),
        (["task=predict", "run=x"], "task=predict needs prompt="),
        (["task=sweep"], "task=sweep needs a file"),
        (["task=compare", "compare.runs=[a]"], "the folders of two finished runs"),
        (["task=convert", "convert.benchmark=gqa"], "task=convert needs convert.source, convert.to"),
        (["task=pretrain"], "task=pretrain needs the part to make: pretrain=sam"),
        (["task=pretrain", "pretrain=clip", "pretrain.epochs=1"], "set pretrain.steps"),
        (["task=pretrain", "pretrain=clip", "experts=[clip,sam]"], "leave experts as it is"),
        (["task=pretrain", "pretrain=clip", "experts=[sam]"], "experts.clip has fields, but clip is not chosen"),
        (["task=pretrain", "pretrain=clip", "world.canvas=100"], "world.canvas=100 must be a multiple of 32"),
        (["task=pretrain", "pretrain=clip", "size=full"], "leave size=tiny"),
        (["task=pretrain", "pretrain=clip", "trainer.devices=2"], "leave trainer.devices as it is"),
        (["task=select", "select.start=[nosuch]"], "select names the expert nosuch, which is unknown"),
        (["task=select", "select.pool=[clip]"], "select names the expert clip twice"),
        (["task=select", "select.start=[]"], "select.start is empty"),
        (["task=select", "select.beyond_spread=true"], "select.beyond_spread=true needs a spread"),
        (
            ["llm=vicuna_7b", "llm.dtype=bfloat16"],
            "llm.dtype=bfloat16 is a precision too low for stages.sft to train in",
        ),
    ],
)
def test_what_cannot_work_together_is_refused(overrides: list[str], reason: str) -> None:
    assert reason in refusal(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["fast=true"],
        ["experts=[sam_vary]"],
        ["task=eval", "run=x"],
        ["task=select"],
        ["task=pretrain", "pretrain=llm"],
        ["task=plan", "size=full"],
        ["task=bench", "bench=fusion"],
        ["evaluation.blind.steps=0"],
        ["task=store", "prune=unused"],
    ],
)
def test_the_defaults_and_their_variants_pass(overrides: list[str]) -> None:
    compose_command(overrides)
