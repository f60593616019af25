"""The stages train what they say, freeze what they say, hand on what they say, and reuse what is finished."""

import copy
from pathlib import Path

import pytest
import torch
from rich.console import Console

from eaglebench.config.build import build_blind, build_factory, build_stages, build_store, build_trainer
from eaglebench.config.build_data import build_data, build_validator
from eaglebench.config.schema import Config
from eaglebench.stages.base import Stage, StageUnit
from eaglebench.stages.runner import Runner
from eaglebench.stages.trained_weights import TrainedWeights
from eaglebench.utils.errors import UserError
from tests.conftest import FUSIONS, composed, turns, write_records

UNLOCKED = "stages.sft.lr.experts=1e-3"


def runner_of(cfg: Config) -> tuple[Runner, list[str]]:
    logged: list[str] = []
    trainer = build_trainer(cfg, [], Console(quiet=True))
    return Runner(
        build_factory(cfg), build_data(cfg, logged.append), build_store(cfg, logged.append), trainer, logged.append
    ), logged


def stage_of(cfg: Config, name: str) -> Stage:
    return next(stage for stage in build_stages(cfg) if stage.name == name)


@pytest.fixture
def shared(fast_store: list[str]) -> list[str]:
    """Fast, with the session's rendered data but nothing from its store."""
    return [*fast_store, "store=none"]


def trained_parts(runner: Runner, stage: Stage, unit: StageUnit) -> tuple[set[str], set[str]]:
    """Names of the parts whose weights a unit changed, and of those whose parameters had a gradient."""
    setup = stage.build_setup(unit, runner.factory, runner.data)
    before = {name: copy.deepcopy(part.state_dict()) for name, part in setup.parts.items()}
    runner.trainer.train(setup, stage.hyperparameters, unit.label, 0)
    changed = {
        name
        for name, part in setup.parts.items()
        if any(not torch.equal(value, before[name][key]) for key, value in part.state_dict().items())
    }
    with_gradient = {name for name, part in setup.parts.items() if any(p.grad is not None for p in part.parameters())}
    return changed, with_gradient


@pytest.mark.parametrize(
    ("stage", "overrides", "trains"),
    [
        ("pre_align", [], {"experts.sam", "fusion"}),
        ("projector", [], {"fusion"}),
        ("projector", ["stages.projector.lr.experts=1e-3"], {"fusion", "experts.clip", "experts.sam"}),
        ("sft", [], {"fusion", "llm"}),
        ("sft", [UNLOCKED], {"experts.clip", "experts.sam", "fusion", "llm"}),
        ("sft", [UNLOCKED, "experts.sam.frozen=true"], {"experts.clip", "fusion", "llm"}),
        ("sft", [UNLOCKED, "stages.sft.lr.llm=0"], {"experts.clip", "experts.sam", "fusion"}),
        ("sft", [UNLOCKED, "stages.sft.unfreeze_at={llm: 2, experts: 2}"], {"fusion"}),
        ("sft", [UNLOCKED, "stages.sft.unfreeze_at={llm: 1, experts: 2}"], {"fusion", "llm"}),
        ("sft", [UNLOCKED, "experts.sam.layer_decay=0.5"], {"experts.clip", "experts.sam", "fusion", "llm"}),
    ],
)
def test_what_trains_and_what_is_frozen(shared: list[str], stage: str, overrides: list[str], trains: set[str]) -> None:
    cfg = composed(*shared, *overrides)
    runner, _ = runner_of(cfg)
    made = stage_of(cfg, stage)
    changed, with_gradient = trained_parts(runner, made, made.units(runner.factory)[0])
    assert changed == trains
    assert with_gradient <= trains  # frozen means no gradient at all


def test_pre_alignment_is_for_each_expert_that_is_neither_aligned_nor_frozen(shared: list[str]) -> None:
    cfg = composed(*shared, "experts=[clip,sam,convnext,eva02]", "experts.eva02.frozen=true")
    runner, _ = runner_of(cfg)
    units = stage_of(cfg, "pre_align").units(runner.factory)
    assert units == [StageUnit("pre_align/sam", ("sam",)), StageUnit("pre_align/convnext", ("convnext",))]


@pytest.mark.slow
def test_compiled_blocks_give_the_same_losses(shared: list[str]) -> None:
    losses = []
    for compiled in ("false", "true"):
        cfg = composed(*shared, UNLOCKED, f"trainer.compile={compiled}", "validation.every=2")
        runner, _ = runner_of(cfg)
        stage = stage_of(cfg, "sft")
        (unit,) = stage.units(runner.factory)
        losses.append(
            runner.trainer.train(
                stage.build_setup(unit, runner.factory, runner.data), stage.hyperparameters, unit.label, 0
            ).losses
        )
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[0] != losses[1]


def test_the_loss_falls(shared: list[str]) -> None:
    names = ("pre_align", "projector", "sft")
    cfg = composed(*shared, *(f"stages.{name}.steps=40" for name in names))
    runner, _ = runner_of(cfg)
    for name in names:
        stage = stage_of(cfg, name)
        unit = stage.units(runner.factory)[0]
        losses = runner.trainer.train(
            stage.build_setup(unit, runner.factory, runner.data), stage.hyperparameters, unit.label, 0
        ).losses
        assert len(losses) == 40
        assert sum(losses[-5:]) < 0.7 * sum(losses[:5]), name


def test_later_stages_start_from_what_earlier_ones_gave(shared: list[str]) -> None:
    cfg = composed(*shared, "stages=[pre_align,projector]")
    runner, _ = runner_of(cfg)
    pre_align, projector = build_stages(cfg)
    state, finished = runner.run([pre_align])
    assert {name.rsplit(".", 1)[0].split(".network")[0] for name in state.weights} == {"experts.sam"}
    setup = projector.build_setup(projector.units(runner.factory)[0], runner.factory, runner.data)
    state.load_into(setup.parts)
    own = setup.parts["experts.sam"].state_dict()
    assert all(torch.equal(value, state.weights[f"experts.sam.{key}"]) for key, value in own.items())
    assert runner.compute_key(projector, projector.units(runner.factory)[0], state)[1]["parents"] == {
        "experts.sam": finished[0].key
    }


def test_the_same_command_gives_the_same_weights_twice(shared: list[str]) -> None:
    cfg = composed(*shared, UNLOCKED, "stages=[pre_align,sft]")
    first, second = (runner_of(cfg)[0].run(build_stages(cfg))[0].weights for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_experts_first_weights_do_not_depend_on_its_company(shared: list[str]) -> None:
    alone = build_factory(composed(*shared, "experts=[sam]")).build_expert("sam").state_dict()
    model, _ = build_factory(composed(*shared, "experts=[clip,sam]", "fusion=sequence_append")).build_model(
        ["clip", "sam"]
    )
    company = model.experts["sam"].state_dict()
    assert all(torch.equal(alone[name], company[name]) for name in alone)


def test_a_finished_stage_is_taken_from_the_store(shared: list[str], tmp_path: Path) -> None:
    overrides = [*shared, f"store={tmp_path}", "stages=[pre_align,projector,sft]"]
    cfg = composed(*overrides)
    runner, _ = runner_of(cfg)
    weights, finished = runner.run(build_stages(cfg))
    assert [unit.reused for unit in finished] == [False] * 3
    runner, logged = runner_of(cfg)
    again, finished = runner.run(build_stages(cfg))
    assert [unit.reused for unit in finished] == [True] * 3
    assert all(torch.equal(weights.weights[name], again.weights[name]) for name in weights.weights)
    assert any("pre_align/sam: taken from the store" in line for line in logged)


def test_micro_batches_of_the_whole_model_give_the_same_step(shared: list[str]) -> None:
    weights = []
    for overrides in ([], ["stages.sft.micro_batch=4"], ["stages.sft.micro_batch=1"]):
        cfg = composed(*shared, UNLOCKED, "stages=[sft]", "stages.sft.steps=1", *overrides)
        runner, _ = runner_of(cfg)
        weights.append(runner.run(build_stages(cfg))[0].weights)
    whole, *cut = weights
    rate = (
        1e-3  # AdamW's first step is the learning rate times a sign: rounding may turn the sign of what is nearly zero
    )
    for one in cut:
        differing = torch.cat([((one[key] - whole[key]).abs() > rate / 100).flatten() for key in whole])
        assert differing.float().mean() < 0.01


@pytest.mark.parametrize(
    ("override", "reused"),
    [
        ("fusion=sequence_append", [True, False, False]),  # pre-alignment serves every fusion
        ("stages.sft.steps=3", [True, True, False]),
        ("stages.sft.micro_batch=2", [True, True, True]),
        ("stages.sft.unfreeze_at.llm=1", [True, True, False]),
        ("stages.sft.nonfinite=skip", [True, True, True]),
        ("trainer.accelerator=gpu", [True, True, True]),
        ("trainer.precision=bf16-mixed", [False, False, False]),
        ("stages.pre_align.lr.experts=5e-4", [False, False, False]),
        ("experts.clip.checkpoint=none", [True, False, False]),
        ("experts.sam.checkpoint=none", [False, False, False]),
        ("llm.checkpoint=none", [False, False, False]),
        ("logger=[]", [True, True, True]),
        ("seed=1", [False, False, False]),
    ],
)
def test_a_change_retrains_what_it_can_change_and_nothing_else(
    shared: list[str], fast_store: list[str], override: str, reused: list[bool]
) -> None:
    overrides = [*fast_store, "stages=[pre_align,projector,sft]"]
    for cfg in (composed(*overrides), changed := composed(*overrides, override)):
        runner, _ = runner_of(cfg)
        units = [(stage, unit) for stage in build_stages(cfg) for unit in stage.units(runner.factory)]
        state, keys = TrainedWeights(), []
        for stage, unit in units:
            key, _ = runner.compute_key(stage, unit, state)
            state.origins.update(dict.fromkeys(stage.output_parts(unit, runner.factory), key))
            keys.append(key)
        if cfg is not changed:
            first = keys
    assert [one == other for one, other in zip(first, keys, strict=True)] == reused


def test_pre_alignment_is_trained_once_for_all_fusions(shared: list[str], tmp_path: Path) -> None:
    reused = []
    for fusion in FUSIONS:
        cfg = composed(*shared, f"store={tmp_path}", "stages=[pre_align]", f"fusion={fusion}")
        _, (unit,) = runner_of(cfg)[0].run(build_stages(cfg))
        reused.append(unit.reused)
    assert reused == [False] + [True] * (len(FUSIONS) - 1)


def test_the_blind_model_sees_no_image(shared: list[str]) -> None:
    cfg = composed(*shared)
    runner, _ = runner_of(cfg)
    blind = build_blind(cfg)
    assert blind is not None
    setup = blind.build_setup(StageUnit("blind", ()), runner.factory, runner.data)
    item = setup.dataset[0]
    assert item.image is None
    assert runner.factory.build_language_model().image_token_id not in item.encoded.input_ids
    assert build_blind(composed(*shared, "evaluation.blind.steps=0")) is None


def test_a_learning_rate_for_a_part_that_a_stage_does_not_have_is_refused(shared: list[str]) -> None:
    with pytest.raises(UserError, match=r"stages\.sft\.lr\.vision is unknown: did you mean stages\.sft\.lr\.fusion"):
        composed(*shared, "+stages.sft.lr.vision=1")
    with pytest.raises(UserError, match=r"stages\.pre_align\.lr names llm; this stage trains experts, fusion"):
        build_stages(composed(*shared, "+stages.pre_align.lr.llm=1"))


def test_a_stage_can_have_a_template_of_its_own(shared: list[str]) -> None:
    for overrides, longer in (([], True), (["stages.sft.template=plain"], False)):
        cfg = composed(*shared, *overrides)
        runner, _ = runner_of(cfg)
        stage = stage_of(cfg, "sft")
        setup = stage.build_setup(stage.units(runner.factory)[0], runner.factory, runner.data)
        question = runner.data.train[0].turns[0].question
        text = runner.factory.build_language_model().tokenizer.decode(
            [i for i in setup.dataset[0].encoded.input_ids if i < 512]
        )
        assert (question in text) == longer
    with pytest.raises(UserError, match=r"stages\.sft\.template=latin must be one of compact"):
        build_stages(composed(*shared, "stages.sft.template=latin"))


def test_a_stage_can_have_samples_of_its_own(shared: list[str], tmp_path: Path) -> None:
    conversation = turns("<image> colour", "red")
    write_records(
        tmp_path, [{"id": f"own-{index}", "image": "a.png", "conversations": conversation} for index in range(20)]
    )
    overrides = [*shared, "stages=[projector,sft]", f"stages.projector.data={tmp_path}/data.json"]
    cfg, usual = composed(*overrides), composed(*overrides, "stages.projector.data=null")
    runner, _ = runner_of(cfg)
    for stage in build_stages(cfg):
        unit = stage.units(runner.factory)[0]
        samples = stage.build_setup(unit, runner.factory, runner.data).dataset.samples
        assert samples[0].id.startswith("own-") == (stage.name == "projector")
        same = (
            runner.compute_key(stage, unit, TrainedWeights())[0]
            == runner_of(usual)[0].compute_key(stage, unit, TrainedWeights())[0]
        )
        assert same == (stage.name == "sft")


def test_validation_changes_nothing(shared: list[str]) -> None:
    found: list[dict[str, float]] = []
    weights = []
    for overrides in (["validation.every=1"], ["validation.every=0"]):
        cfg = composed(*shared, "stages=[sft]", *overrides)
        runner, _ = runner_of(cfg)
        validator = build_validator(cfg, runner.data)
        assert (validator is None) == ("validation.every=0" in overrides)
        if validator is not None:
            assert {sample.turns[0].family for sample in validator.samples} >= {"area", "text"}
            runner.validator = lambda *models, validator=validator: found.append(validator(*models)) or found[-1]
        weights.append(runner.run(build_stages(cfg))[0].weights)
    validated, alone = weights
    assert all(torch.equal(validated[name], alone[name]) for name in alone)
    assert [set(values) for values in found] == [{"validation loss", "validation score"}] * 2
    assert all(0 < values["validation loss"] < 20 and 0 <= values["validation score"] <= 1 for values in found)


def test_a_batch_that_the_data_cannot_fill_is_refused(shared: list[str]) -> None:
    cfg = composed(*shared, "stages=[sft]", "stages.sft.batch_size=1000")
    runner, _ = runner_of(cfg)
    with pytest.raises(UserError, match="do not fill a batch of 1000"):
        runner.run(build_stages(cfg))
