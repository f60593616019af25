"""Overrides that cannot be read or do nothing are refused with what would do."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from eaglebench.config.command_line import explain_unknown, prepare_arguments
from eaglebench.utils.errors import UserError


def refusal(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        prepare_arguments(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["experts=[clip,nosuch]"],
            "experts=nosuch is unknown: choose from clip, convnext, dinov2, eva02, hf, open_clip, pix2struct, sam, "
            "sam_vary, timm.",
        ),
        (["experts=[clip,samm]"], "experts=samm is unknown: did you mean sam? Choose from clip, convnext"),
        (
            ["fusion=nosuch"],
            "fusion=nosuch is unknown: choose from channel_concat, deformable, llava_hr, mini_gemini, mova, "
            "sequence_append, sva.",
        ),
        (["experts=[clip,sam,clip]"], "experts names clip twice"),
        (["llm=gpt"], "llm=gpt is unknown"),
        (["size=huge"], "size=huge is unknown: choose from full, tiny."),
        (["task=dance"], "task=dance is unknown: choose from bench, compare, convert, eval"),
        (["+experts=[sam]"], "write experts=... without the +"),
        (["--config-dir", "nosuch"], "--config-dir nosuch is no folder"),
    ],
)
def test_unknown_and_repeated_choices_are_refused_with_those_that_there_are(arguments: list[str], reason: str) -> None:
    assert reason in refusal(*arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run=results/a"], "run belongs to task=eval or task=predict: add that, or leave run out of task=train."),
        (["+run=results/a"], "run belongs to task=eval or task=predict"),
        (["image=a.png"], "image belongs to task=predict"),
        (["prompt=hello"], "prompt belongs to task=predict"),
        (
            ["task=eval", "run=x", "prompt=hello"],
            "prompt belongs to task=predict: add that, or leave prompt out of task=eval.",
        ),
        (["select=backward"], "select belongs to task=select"),
        (["pretrain=sam"], "pretrain belongs to task=pretrain"),
        (["report.runs=x"], "report.runs belongs to task=report"),
        (["prune=all"], "prune belongs to task=store"),
        (["sweep=a.yaml"], "sweep belongs to task=sweep"),
    ],
)
def test_a_field_of_another_task_is_refused(arguments: list[str], reason: str) -> None:
    assert reason in refusal(*arguments)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        (
            "experts=[clip,",
            "experts=[clip, lacks its ]: the shell cuts at spaces; put quotes around it, as in 'experts=[clip,sam]'",
        ),
        ("sam]", "'sam]' is no override: write FIELD=VALUE"),
        ("evaluation.generate={num_beams: 3,", "lacks its }"),
        ("seed", "seed has no value: write seed=VALUE."),
    ],
)
def test_what_the_shell_cut_is_explained(argument: str, reason: str) -> None:
    assert reason in refusal(argument)


@pytest.mark.parametrize(
    "value",
    [
        "results/a=b",
        "bücher/bild.png",
        "a(1).png",
        "my file [2].png",
        "it's.png",
        'say "hi", or not?',
        "what is {this}",
    ],
)
def test_a_value_that_hydra_cannot_read_is_given_back_in_quotes_that_work(value: str) -> None:
    message = refusal("task=predict", f"image={value}")
    (quoted,) = shlex.split(message[message.index("the argument, ") + len("the argument, ") : -1])
    assert OverridesParser.create().parse_override(quoted).value() == value
    assert prepare_arguments(["task=predict", quoted]) == ["task=predict", quoted]


def test_good_arguments_pass_as_they_are() -> None:
    arguments = ["-m", "--cfg", "job", "experts=[clip,sam]", "fusion=channel_concat,sequence_append", "~logger.csv"]
    assert prepare_arguments(arguments) == arguments


def test_flags_may_stand_between_overrides() -> None:
    """Hydra's own parser refuses them there."""
    assert prepare_arguments(["seed=0,1", "-m", "--config-dir", "conf", "fast=true"]) == [
        *("-m", "--config-dir", "conf"),
        *("seed=0,1", "fast=true"),
    ]


def test_fields_that_the_user_names_need_no_plus() -> None:
    assert prepare_arguments(["pretrained.sam=a.pth", "evaluation.metrics.mine=anls"]) == [
        "++pretrained.sam=a.pth",
        "++evaluation.metrics.mine=anls",
    ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("lr", "lr is unknown: there is experts.clip.lr, experts.sam.lr, stages.pre_align.lr and 3 more."),
        ("stages.sft.step", "stages.sft.step is unknown: did you mean stages.sft.steps?"),
        ("experts.clip.imagesize", "did you mean experts.clip.image_size?"),
        ("sed", "sed is unknown: did you mean seed?"),
        ("world.zzzz", "world.zzzz is unknown: world has canvas, mixture, seed, split, train_images, val_questions."),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest_or_with_its_namesakes(path: str, reason: str) -> None:
    assert explain_unknown(path, []) == reason or reason in explain_unknown(path, [])
