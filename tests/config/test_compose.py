"""Every YAML composes, and the name of a run follows what can change its result."""

from pathlib import Path

import pytest
from hydra.utils import get_class, get_method

from eaglebench.config.compose import CONF, HIDDEN_GROUPS, compose_command, group_file, groups, options
from eaglebench.config.resolvers import register_resolvers
from eaglebench.config.schema import EvaluationConfig
from eaglebench.utils.errors import UserError
from tests.conftest import LIBRARIES, command_of, composed

LISTS = ("experts", "stages", "logger")
SIZED = ("experts", "fusion", "llm", "stages", "data", "trainer", "evaluation", "experiment")  # `size` changes them
# Groups that one task alone has.
OF_TASKS = {"select": "task=select", "bench": "task=bench", "pretrain": "task=pretrain"}


def choices() -> list[tuple[str, str, str]]:
    """Each file of conf/ once, those of which many can be chosen together; and the sizes that it has."""
    found = []
    for group in sorted(set(groups()) - set(HIDDEN_GROUPS)):
        values = [f"[{','.join(options(group))}]"] if group in LISTS else options(group)
        found += [(group, value, size) for value in values for size in (("tiny", "full") if group in SIZED else ("",))]
    return found


@pytest.mark.parametrize(("group", "value", "size"), choices())
def test_every_yaml_composes_into_typed_configuration_and_its_classes_exist(group: str, value: str, size: str) -> None:
    overrides = [f"size={size}"] if size else []
    overrides += [OF_TASKS[group]] if group in OF_TASKS else []
    overrides += [f"experts.{name}.backbone=a" for name in LIBRARIES] if group == "experts" else []
    command = command_of(*overrides, f"{group}={value}")
    for target in targets(command.resolved):
        assert callable(get_class(target) if target.rsplit(".", 1)[1][0].isupper() else get_method(target))


def targets(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if "_target_" in node else []
        return own + [found for value in node.values() for found in targets(value)]
    return []


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_yaml_begins_with_a_line_that_says_what_it_is(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")


@pytest.mark.parametrize(
    ("size", "expert", "expected"),
    [
        ("full", "clip", (448, 14, 1024, 24)),
        ("full", "sam", (1024, 16, 1024, 24)),
        ("full", "sam_vary", (1024, 16, 768, 12)),
        ("full", "eva02", (1024, 16, 1024, 24)),
        ("full", "pix2struct", (720, 16, 1536, 18)),
        ("tiny", "clip", (64, 8, 64, 2)),
    ],
)
def test_both_sizes_of_an_expert(size: str, expert: str, expected: tuple[int, ...]) -> None:
    fields = composed(f"size={size}", f"experts=[{expert}]").experts[expert].arguments
    assert tuple(fields[name] for name in ("image_size", "patch_size", "width", "depth")) == expected


def test_the_order_of_experts_is_the_users() -> None:
    assert list(composed("experts=[sam,clip]").experts) == ["sam", "clip"]


def test_the_command_line_beats_the_size_and_every_field_is_an_override() -> None:
    cfg = composed(
        "size=full",
        "llm=tiny",
        "data=synthetic",
        "experts.clip.image_size=336",
        "stages.sft.steps=7",
        "stages.sft.epochs=null",
    )
    assert cfg.llm.arguments["width"] == 128
    assert cfg.experts["clip"].arguments["image_size"] == 336
    assert cfg.stages["sft"].steps == 7


def steps_of_sft(*overrides: str) -> int:
    steps = composed(*overrides).stages["sft"].steps
    assert steps is not None
    return steps


def test_fast_shortens_and_a_given_length_beats_it() -> None:
    assert steps_of_sft("fast=true") < 10 < steps_of_sft()
    assert steps_of_sft("fast=true", "stages.sft.steps=77") == 77


def test_the_run_is_named_after_what_changes_its_result() -> None:
    name = composed().run_name
    assert name.startswith("clip+sam-channel_concat-tiny-s0-")
    assert composed("logger=[csv,wandb]").run_name == name
    assert composed("store=none").run_name == name
    assert composed("debug=true").run_name == name
    for other in (
        "experts.clip.image_size=96",
        "seed=1",
        "fast=true",
        "fusion=sequence_append",
        "stages.sft.batch_size=8",
    ):
        assert composed(other).run_name != name


def test_the_configs_lie_where_the_package_looks() -> None:
    assert (CONF / "config.yaml").is_file()
    assert Path(CONF).name == "conf"


@pytest.mark.parametrize(
    ("name", "experts", "pre_aligned", "unlocked"),
    [
        ("eagle_x5", ["clip", "convnext", "sam", "eva02", "pix2struct"], True, True),
        ("eagle_x4", ["clip", "convnext", "eva02", "pix2struct"], True, True),
        ("eagle_base", ["clip", "convnext"], False, False),
        ("eagle", ["clip", "sam"], True, True),
    ],
)
def test_the_recipes_of_the_paper(name: str, experts: list[str], pre_aligned: bool, unlocked: bool) -> None:
    overrides = [
        f"experiment={name}",
        "data.train=sft.json",
        *(f"experts.{expert}.checkpoint=none" for expert in experts),
    ]
    with pytest.raises(UserError, match=r"stages\.projector\.data is not set: give the LLaVA file"):
        compose_command(overrides)
    config = compose_command([*overrides, "stages.projector.data=595k.json"]).config
    assert list(config.experts) == experts
    assert list(config.stages) == (["pre_align"] if pre_aligned else []) + ["projector", "sft"]
    projector, sft, llm = config.stages["projector"], config.stages["sft"], config.llm
    assert (config.fusion.name, llm.model, llm.template) == ("channel_concat", "lmsys/vicuna-7b-v1.5", "vicuna_v1")
    assert (projector.batch_size, projector.lr["fusion"]) == (256, 1e-3)
    assert (projector.template, projector.epochs) == ("plain", 1)
    assert (sft.batch_size, sft.lr["llm"], sft.lr["experts"], sft.template, sft.epochs) == (128, 2e-5, 2e-5, None, 1)
    assert {stage.warmup for stage in config.stages.values()} == {0.03}
    assert {stage.weight_decay for stage in config.stages.values()} == {0.0}
    assert llm.max_length == 2048
    assert bool(projector.lr["experts"]) == unlocked


def test_pretrained_is_for_the_experts_that_are_chosen() -> None:
    """And so is the name of a run."""
    given = composed("pretrained.sam=a.pth", "pretrained.eva02=b.pth")
    assert [expert.checkpoint for expert in given.experts.values()] == ["zoo", "a.pth"]
    both = composed("pretrained.sam=a.pth", "experts.sam.checkpoint=c.pth")
    assert both.experts["sam"].checkpoint == "c.pth"
    assert given.run_name == composed("pretrained.sam=a.pth").run_name != composed().run_name
    assert composed("pretrained.eva02=b.pth").run_name == composed("pretrained.mine=b.pth").run_name
    assert composed("pretrained.eva02=b.pth").run_name == composed().run_name


@pytest.mark.parametrize("name", options("experts"))
def test_pretrained_reaches_every_expert(name: str) -> None:
    library = [f"experts.{name}.backbone=b"] if name in LIBRARIES else []
    expert = composed(f"experts=[{name}]", f"pretrained.{name}=a.pth", *library).experts[name]
    assert expert.checkpoint == "a.pth"


def test_the_name_of_a_run_does_not_depend_on_how_a_value_is_written() -> None:
    assert composed("stages.sft.lr.llm=0.001").run_name == composed("stages.sft.lr.llm=1e-3").run_name
    assert composed("fusion.align_corners=false").run_name == composed().run_name


def test_the_evaluation_of_benchmarks_keeps_the_settings_of_the_usual_one() -> None:
    settings = composed("evaluation=eagle11").evaluation
    assert isinstance(settings, EvaluationConfig)
    assert settings.metrics["chart"] == "relaxed"
    assert settings.blind.steps == 0


def test_the_groups_are_the_folders_of_conf() -> None:
    assert set(groups()) == {path.name for path in CONF.iterdir() if path.is_dir()} - set(HIDDEN_GROUPS)
    assert group_file("experts", "clip") == CONF / "experts" / "clip.yaml"
    register_resolvers()  # twice does no harm
