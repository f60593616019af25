"""Every YAML composes, names and resolvers behave, and what cannot work is refused in one sentence."""

from pathlib import Path

import pytest
from hydra.utils import get_class, get_method
from omegaconf import DictConfig, OmegaConf

from eaglebench.config.compose import CONF, options, validate_overrides
from eaglebench.config.schema import validate
from eaglebench.utils.errors import UserError
from tests.conftest import EXPERTS, LIBRARIES, composed

LISTS = ("experts", "stages", "logger")


def yamls() -> list[tuple[str, str]]:
    return [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml"))]


@pytest.mark.parametrize(("group", "option"), yamls())
@pytest.mark.parametrize("size", ["tiny", "full"])
def test_every_yaml_composes_and_resolves(group: str, option: str, size: str) -> None:
    value = f"[{option}]" if group in LISTS else option
    words = [f"size={size}"] if group != "size" else []
    named = [f"experts.{option}.backbone=a"] if option in LIBRARIES else []
    cfg = composed(*words, f"{group}={value}", "++data.train=x.json", *named)
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert OmegaConf.missing_keys(cfg) == set()
    for target in targets(resolved):
        assert callable(get_class(target) if target.rsplit(".", 1)[1][0].isupper() else get_method(target))


def targets(node) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if "_target_" in node else []
        return own + [found for value in node.values() for found in targets(value)]
    return []


def test_the_tests_know_every_expert() -> None:
    assert sorted((*EXPERTS, *LIBRARIES)) == options("experts")


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
    node = composed(f"size={size}", f"experts=[{expert}]", "data.train=x.json" if size == "full" else "seed=0").experts[
        expert
    ]
    assert (node.image_size, node.patch_size, node.width, node.depth) == expected


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
    assert cfg.llm.width == 128
    assert cfg.experts.clip.image_size == 336
    assert cfg.stages.sft.steps == 7


def test_debug_fast_shortens_and_a_given_length_beats_it() -> None:
    assert composed("debug=fast").stages.sft.steps < 10 < composed().stages.sft.steps
    assert composed("debug=fast", "stages.sft.steps=77").stages.sft.steps == 77


def test_the_run_is_named_after_what_changes_its_result() -> None:
    name = composed().run_name
    assert name.startswith("clip+sam-channel_concat-tiny-s0-")
    assert composed("logger=[csv,wandb]").run_name == name
    assert composed("store=none").run_name == name
    assert composed("debug=true").run_name == name
    for other in (
        "experts.clip.image_size=96",
        "seed=1",
        "debug=fast",
        "fusion=sequence_append",
        "stages.sft.batch_size=8",
    ):
        assert composed(other).run_name != name


def refused(cfg: DictConfig) -> str:
    with pytest.raises(UserError) as caught:
        validate(cfg)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_are_for_the_experts_that_are_chosen() -> None:
    """And so is the name of a run."""
    given = composed("weights.sam=a.pth", "weights.eva02=b.pth")
    assert [expert.checkpoint for expert in given.experts.values()] == ["zoo", "a.pth"]
    assert composed("weights.sam=a.pth", "experts.sam.checkpoint=c.pth").experts.sam.checkpoint == "c.pth"
    assert given.run_name == composed("weights.sam=a.pth").run_name != composed().run_name
    assert composed("weights.eva02=b.pth").run_name == composed("+weights.mine=b.pth").run_name == composed().run_name


def test_every_expert_has_its_place_in_weights() -> None:
    assert set(composed().weights) == set(options("experts"))
    for name in options("experts"):
        expert = composed(
            f"experts=[{name}]", f"weights.{name}=a.pth", *([f"experts.{name}.backbone=b"] if name in LIBRARIES else [])
        ).experts[name]
        assert expert.checkpoint == "a.pth"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["experts=[]"], "experts=[] leaves nothing to see with: choose from clip, convnext"),
        (["experts.clip.image_size=60"], "experts.clip.image_size=60 is not a multiple of its patch of 8: the nearest that fit are 56 and 64"),
        (["experts.clip.image_size=abc"], "experts.clip.image_size=abc is not a number"),
        (["stages.sft.lr.llm=high"], "stages.sft.lr.llm=high is not a number"),
        (["stages.sft.batch_size=null"], "must be at least 1"),
        (["stages=[]"], "stages=[] trains nothing"),
        (["stages.sft.batch_size=0"], "stages.sft.batch_size=0 must be at least 1"),
        (["stages.sft.steps=0"], "stages.sft has no length"),
        (["stages.sft.epochs=1"], "stages.sft needs either steps or epochs"),
        (["evaluation.batch_size=0"], "evaluation.batch_size=0 must be at least 1"),
        (["task=dance"], "task=dance is unknown: choose train, eval, predict, compare, select, sweep, report"),
        (["debug=maybe"], "debug=maybe is unknown"),
        (["task=eval"], "task=eval needs run=FOLDER"),
        (["fusion.shrink=nosuch"], "fusion.shrink=nosuch is unknown: choose from antialias, unshuffle"),
        (["fusion=mini_gemini", "fusion.stages=first"], "fusion.stages=first is unknown: choose from all, last"),
        (["fusion=deformable", "fusion.heads=many"], "fusion.heads=many must be a whole number above 0"),
        (["fusion=mova", "fusion.top=1.5"], "fusion.top=1.5 must be a whole number above 0"),
        (["fusion.projector_width=0"], "fusion.projector_width=0 must be a whole number above 0"),
        (["fusion.norm=perhaps"], "fusion.norm=perhaps must be true or false"),
        (["fusion=mova", "fusion.route=sam"], "as in 'fusion.route=[sam]'"),
        (["task=bench", "bench=fusion", "bench.fusions=[nosuch]"], "bench.fusions names nosuch: choose from"),
        (["task=pretrain"], "task=pretrain needs part=NAME: choose from clip, convnext"),
        (["task=pretrain", "part=clip", "pretrain.steps=0"], "pretrain.steps=0 must be a whole number above 0"),
        (["task=pretrain", "part=clip", "pretrain.lr=fast"], "pretrain.lr=fast is not a number"),
        (["task=pretrain", "part=clip", "pretrain.held_out=0"], "pretrain.held_out=0 must be a whole number above 0"),
        (["task=pretrain", "part=clip", "pretrain.epochs=1"], "set pretrain.steps"),
        (["task=pretrain", "part=sam", "pretrain.kinds.pile=-1"], "must be shares of at least 0"),
        (["task=pretrain", "part=clip", "experts=[sam]"], "leave experts as it is"),
        (["task=pretrain", "part=clip", "world.canvas=100"], "world.canvas=100 must be a multiple of 32"),
        (["part=clip"], "part=clip belongs to task=pretrain"),
        (["task=pretrain", "part=clip", "size=full", "data.train=x.json"], "leave size=tiny"),
        (["task=predict", "run=x"], "task=predict needs prompt="),
        (["size=full", "data.train=x.json"], "experts.clip.checkpoint is not set"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(overrides: list[str], told: str) -> None:
    assert told in refused(composed(*overrides))


def test_the_default_and_its_variants_are_accepted() -> None:
    for words in ([], ["debug=fast"], ["experts=[sam_vary]"], ["task=eval", "run=x"]):
        validate(composed(*words))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["experts=[clip,nosuch]"], "experts=nosuch is unknown: choose from clip, convnext, dinov2, eva02, hf, open_clip, pix2struct, sam, sam_vary, timm."),
        (["fusion=nosuch"], "fusion=nosuch is unknown: choose from channel_concat, deformable, llava_hr, mini_gemini, mova, sequence_append, sva."),
        (["experts=[clip,sam,clip]"], "experts names clip twice"),
        (["llm=gpt"], "llm=gpt is unknown"),
        (["size=huge"], "size=huge is unknown: choose from full, tiny."),
    ],
)  # fmt: skip
def test_unknown_and_repeated_names_are_refused_with_the_choices(words: list[str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        validate_overrides(words)
    assert told in str(caught.value)


def test_good_words_pass() -> None:
    validate_overrides(
        ["experts=[clip,sam]", "fusion=channel_concat", "-m", "fusion=channel_concat,sequence_append", "--cfg", "job"]
    )


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
    words = [f"experiment={name}", "data.train=sft.json", *(f"experts.{expert}.checkpoint=none" for expert in experts)]
    with pytest.raises(UserError, match=r"stages\.projector\.train is not set: give the LLaVA file"):
        validate(composed(*words))
    cfg = composed(*words, "stages.projector.train=595k.json")
    validate(cfg)
    assert list(cfg.experts) == experts
    assert list(cfg.stages) == (["pre_align"] if pre_aligned else []) + ["projector", "sft"]
    projector, sft = cfg.stages.projector, cfg.stages.sft
    assert (cfg.fusion.name, cfg.llm.model, cfg.llm.template) == ("channel_concat", "lmsys/vicuna-7b-v1.5", "vicuna_v1")
    assert (projector.batch_size, projector.lr.fusion, projector.template, projector.epochs) == (256, 1e-3, "plain", 1)
    assert (sft.batch_size, sft.lr.llm, sft.lr.experts, sft.template, sft.epochs) == (128, 2e-5, 2e-5, None, 1)
    assert {stage.warmup for stage in cfg.stages.values()} == {0.03}
    assert {stage.weight_decay for stage in cfg.stages.values()} == {0.0}
    assert cfg.llm.max_length == 2048
    assert bool(projector.lr.experts) == unlocked
