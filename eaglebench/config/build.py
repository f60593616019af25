"""From the typed configuration to the objects of a run. Below this, nothing knows of the configuration."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lightning.pytorch.loggers import Logger
from rich.console import Console

from eaglebench.config.inputs import file_state
from eaglebench.config.schema import Config, ExpertConfig, LanguageConfig
from eaglebench.config.schema_base import OPTIMIZATION, OptimizationConfig, optional_path
from eaglebench.config.targets import TARGET
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.tiled import Tiled
from eaglebench.language.base import LanguageModel
from eaglebench.model.adapt import adapt_language_model
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import ExpertSpec, ModelFactory
from eaglebench.runs import BLIND, MODEL, check_model
from eaglebench.stages.base import Stage
from eaglebench.stages.blind import Blind
from eaglebench.stages.store import Store
from eaglebench.training.hyperparameters import Hyperparameters
from eaglebench.training.trainer import StageTrainer
from eaglebench.utils.distributed import is_main_process
from eaglebench.weights.files import load_weights
from eaglebench.zoo.pretext import Pretext
from eaglebench.zoo.shipped import ZOO, find_shipped_weights

# The builder of language models on the hub, and the one that needs nothing but their architecture.
PRETRAINED = "eaglebench.language.pretrained.load_pretrained"
FROM_ARCHITECTURE = "eaglebench.language.pretrained.build_from_architecture"
# Fields of a part that change nothing of what a stage gives.
NO_EFFECT = ("activation_checkpointing",)


def constructor(spec: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function behind `_target_`, with the other fields bound as arguments.

    What may be named was checked when the configuration was read (`config.targets`). Hydra's own `instantiate` would
    build anything, and take `${...}` in a text for a reference.
    """
    arguments = {name: build_argument(value) for name, value in spec.items() if not name.startswith("_")}
    return partial(resolve_name(spec[TARGET]), **arguments)


def build_argument(value: Any) -> Any:
    """An argument as it is, or built if it is a component itself."""
    if isinstance(value, Mapping):
        return constructor(value)() if TARGET in value else {key: build_argument(one) for key, one in value.items()}
    return [build_argument(one) for one in value] if isinstance(value, list) else value


def checkpoint_path(name: str, value: str | None) -> Path | None:
    """The checkpoint of a part: a path or hub name, none, or `zoo` for the weights that ship with the package."""
    return find_shipped_weights(name) if value == ZOO else optional_path(value)


def build_factory(
    config: Config, seed: int | None = None, trained: bool = False, without_weights: bool = False
) -> ModelFactory:
    """The factory of the run's parts.

    Args:
        seed: of fresh weights; None: the run's.
        trained: weights come from the run, and not from checkpoints.
        without_weights: weights do not matter (task=plan); nothing is read or downloaded.

    Raises:
        UserError: the zoo has no weights for a part.
    """
    no_checkpoints = trained or without_weights
    fusion = config.fusion
    return ModelFactory(
        {name: expert_spec(name, expert, no_checkpoints) for name, expert in config.experts.items()},
        constructor(fusion.spec),
        language_builder(config.llm, no_checkpoints, without_weights),
        fusion_fingerprint=fusion.model_dump(by_alias=True),
        llm_fingerprint=language_fingerprint(config.llm),
        seed=config.seed if seed is None else seed,
    )


def expert_spec(name: str, expert: ExpertConfig, no_checkpoint: bool) -> ExpertSpec:
    """How one expert is built and adapted."""
    checkpoint = None if no_checkpoint else checkpoint_path(name, expert.checkpoint)
    described = {**expert.model_dump(by_alias=True), "name": name}
    return ExpertSpec(
        build=expert_builder(expert),
        aligned=expert.aligned,
        frozen=expert.frozen,
        lr=expert.lr,
        layer_decay=expert.layer_decay,
        checkpoint=checkpoint,
        pixels=expert.pixels,
        dtype=expert.dtype,
        activation_checkpointing=expert.activation_checkpointing,
        lora=expert.lora.model_dump(),
        fingerprint=partial(fingerprint, described, "checkpoint", checkpoint),
    )


def expert_builder(expert: ExpertConfig) -> Callable[[], VisionExpert]:
    """Builds an expert with fresh weights; with high_res=tile, one of its native side that takes tiles of a larger
    image.
    """
    if expert.high_res != "tile":
        return constructor(expert.spec)
    size, side = expert.arguments["image_size"], expert.native_size
    assert side is not None
    make = constructor({**expert.spec, "image_size": side})
    return lambda: Tiled(make(), size // side, expert.global_view)


def language_builder(llm: LanguageConfig, no_checkpoint: bool, without_weights: bool) -> Callable[[], LanguageModel]:
    """Builds the language model, with its adapters."""
    spec = llm.spec
    if "checkpoint" in spec:
        spec["checkpoint"] = None if no_checkpoint else checkpoint_path("llm", llm.checkpoint)
    if without_weights and llm.target == PRETRAINED:
        spec |= {"_target_": FROM_ARCHITECTURE, "architecture": llm.architecture}
        spec.pop("quantize", None)  # what is planned for is at most too much
    make = constructor(spec)
    lora, checkpointing = llm.lora.model_dump(), llm.activation_checkpointing
    return lambda: adapt_language_model(make(), lora=lora, activation_checkpointing=checkpointing)


def language_fingerprint(llm: LanguageConfig) -> Callable[[], dict[str, Any]]:
    """The fingerprint of the language model and of its files."""
    files = checkpoint_path("llm", llm.checkpoint) or optional_path(llm.model)
    return partial(fingerprint, {**llm.spec, "lora": llm.lora.model_dump()}, "files", files)


def fingerprint(described: Mapping[str, Any], name: str, weights: Path | None) -> dict[str, Any]:
    """What of a part's config a result depends on, with the state of its weights under `name`."""
    return {key: value for key, value in described.items() if key not in NO_EFFECT} | {name: file_state(weights)}


def load_trained_model(config: Config, folder: Path) -> tuple[EagleModel, LanguageModel]:
    """The model of a finished run with its trained weights, and its language model.

    Raises:
        UserError: the weights do not fit the config, or are not those that the run wrote.
    """
    factory = build_factory(config, trained=True)
    model, language = factory.build_model(factory.experts)
    check_model(folder)
    load_weights(model, folder / MODEL, f"run={folder}")
    return model, language


def build_pretext(config: Config) -> tuple[Pretext, dict[str, Any]]:
    """The pretext task of `config.pretrain` with its part, and the constructor arguments of that part."""
    assert config.pretrain is not None
    name, pretext = config.pretrain.part, config.pretrain.pretext
    if name != "llm":  # the language model plays no part
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"checkpoint": None})})
    factory = build_factory(config)
    part: Any = factory.build_language_model() if name == "llm" else factory.build_expert(name)
    spec = config.llm.spec if name == "llm" else config.experts[name].spec
    spec.pop("checkpoint", None)  # the part begins with fresh weights
    make = constructor(pretext.spec)
    return factory.build_seeded(f"pretext {name}", lambda: make(part=part)), spec


def build_hyperparameters(section: OptimizationConfig) -> Hyperparameters:
    """The numbers of an optimisation."""
    return Hyperparameters(**{name: getattr(section, name) for name in OPTIMIZATION})


def build_stages(config: Config) -> list[Stage]:
    """The stages in the user's order."""
    stages: list[Stage] = []
    for name, section in config.stages.items():
        arguments = section.arguments
        if projector := arguments.pop("projector", None):
            arguments |= {"projector": constructor(projector), "projector_config": projector}
        make = resolve_name(section.target)
        stages.append(
            make(
                name=name,
                hyperparameters=build_hyperparameters(section),
                lr=section.lr,
                unfreeze_at=section.unfreeze_at,
                group_by_length=section.group_by_length,
                template=section.template,
                **arguments,
            )
        )
    return stages


def build_blind(config: Config) -> Blind | None:
    """The model that is trained without images, with hyperparameters of its own; None if it is switched off."""
    section = config.scoring.blind
    if not section.steps and not section.epochs:
        return None
    return Blind(BLIND, {"llm": section.lr}, build_hyperparameters(section))


def build_trainer(config: Config, loggers: list[Logger], console: Console, seed: int | None = None) -> StageTrainer:
    """What trains the units of the stages."""
    trainer = config.trainer
    strategy = trainer.strategy
    return StageTrainer(
        {
            "accelerator": trainer.accelerator,
            "devices": trainer.devices,
            "num_nodes": trainer.nodes,
            "precision": trainer.precision,
            "deterministic": trainer.deterministic,
        },
        loggers,
        config.seed if seed is None else seed,
        console,
        config.checkpoint_every,
        config.validation.every,
        trainer.processes,
        None if strategy is None else constructor(strategy.spec),
        trainer.compile,
    )


def build_loggers(config: Config, folder: Path) -> list[Logger]:
    """The run's loggers, writing into its folder; of several processes, one logs."""
    sections = config.logger.values() if is_main_process() else ()
    return [constructor(section.spec)(save_dir=str(folder)) for section in sections]


def build_store(config: Config, log: Callable[[str], None]) -> Store:
    """The store of finished stages; store=none keeps nothing."""
    return Store(config.store_folder, log)
