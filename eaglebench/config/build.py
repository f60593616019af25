"""From the composed config to plain objects. Below this, nothing knows of Hydra."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from eaglebench.config.inputs import file_state
from eaglebench.config.schema import (
    HIGH_RES,
    LANGUAGE_TREATMENT,
    NONE,
    OTHER_VERSION,
    SCHEDULE,
    STAGE_DATA,
    TREATMENT,
    device_of,
    optional_path,
    plain,
    processes_of,
)
from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.llava import hash_samples, read_samples
from eaglebench.data.sample import Sample
from eaglebench.data.source import DataSource, Split, SyntheticWorld
from eaglebench.data.synthetic.engine import World
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.validation import Validator, take_evenly
from eaglebench.experts.base import VisionExpert
from eaglebench.experts.tiled import Tiled
from eaglebench.model.adapt import adapt_language_model
from eaglebench.model.factory import ExpertSpec, ModelFactory
from eaglebench.stages.base import Stage
from eaglebench.stages.blind import BLIND, Blind
from eaglebench.stages.store import Store
from eaglebench.training.setup import Schedule
from eaglebench.training.trainer import Fit
from eaglebench.utils.distributed import is_main_process
from eaglebench.utils.errors import UserError
from eaglebench.zoo.cards import ZOO, shipped
from eaglebench.zoo.pretext import Pretext

PRETRAINED = "eaglebench.language.pretrained.load_pretrained"
FROM_ARCHITECTURE = "eaglebench.language.pretrained.build_from_architecture"
QUICK = 64  # questions of an evaluation, or of each benchmark, with debug=fast
UNSEEN = ("activation_checkpointing",)  # changes nothing of what a stage gives


def constructor(config: Mapping[str, Any]) -> Callable[..., Any]:
    """The class or function behind `_target_`, with the node's other fields bound."""
    return instantiate({**config, "_partial_": True}, _convert_="all")


def checkpoint_of(name: str, value: str | None) -> Path | None:
    """The checkpoint of the named part: a path or hub name, none, or `zoo` for the weights that ship with the package."""
    return shipped(name) if value == ZOO else optional_path(value)


def build_factory(
    cfg: DictConfig, seed: int | None = None, trained: bool = False, without_weights: bool = False
) -> ModelFactory:
    """The factory of the run's parts.

    Args:
        trained: their weights come from the run, and not from their checkpoints.
        without_weights: weights do not matter (task=plan); nothing is read or downloaded.
    """
    trained = trained or without_weights
    experts = {}
    for name, node in cfg.experts.items():
        config = plain(node)
        if missing := [key for key in (*TREATMENT, *HIGH_RES) if key not in config]:
            raise UserError(f"experts.{name} has no {', '.join(missing)}: {OTHER_VERSION}")
        arguments = constructor_arguments(config)
        checkpoint = None if trained else checkpoint_of(str(name), config["checkpoint"])
        experts[str(name)] = ExpertSpec(
            build=tiled(arguments, config) if config["high_res"] == "tile" else constructor(arguments),
            **{key: config[key] for key in TREATMENT if key != "checkpoint"},
            checkpoint=checkpoint,
            fingerprint=partial(fingerprint, config | {"name": name}, "checkpoint", checkpoint),
        )
    fusion, llm = plain(cfg.fusion), plain(cfg.llm)
    architecture = llm.pop("architecture", None)
    if missing := [key for key in LANGUAGE_TREATMENT if key not in llm]:
        raise UserError(f"llm has no {', '.join(missing)}: {OTHER_VERSION}")
    adaptation = {key: llm.pop(key) for key in LANGUAGE_TREATMENT}
    weights = checkpoint_of("llm", llm.get("checkpoint"))
    files = weights or optional_path(llm.get("model"))
    shown = {**llm, "lora": adaptation["lora"]}
    if "checkpoint" in llm:
        llm["checkpoint"] = None if trained else weights
    if without_weights and llm["_target_"] == PRETRAINED:
        llm |= {"_target_": FROM_ARCHITECTURE, "architecture": architecture}
        del llm["quantize"]  # what is planned for is at most too much
    make_language = constructor(llm)
    return ModelFactory(
        experts,
        constructor({key: value for key, value in fusion.items() if key != "name"}),
        lambda: adapt_language_model(make_language(), **adaptation),
        fusion_fingerprint=fusion,
        llm_fingerprint=partial(fingerprint, shown, "files", files),
        seed=cfg.seed if seed is None else seed,
    )


def fingerprint(config: Mapping[str, Any], name: str, weights: Path | None) -> dict[str, Any]:
    """What of a part's config a result depends on, with the state of its weights under `name`."""
    return {key: value for key, value in config.items() if key not in UNSEEN} | {name: file_state(weights)}


def constructor_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of an expert's config its class takes, `_target_` included."""
    return {key: value for key, value in config.items() if key not in (*TREATMENT, *HIGH_RES)}


def tiled(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> Callable[[], VisionExpert]:
    """Builds an expert of its native side on the tiles of a larger image."""
    side = config["native_size"]
    make = constructor({**arguments, "image_size": side})
    return lambda: Tiled(make(), config["image_size"] // side, config["global_view"])


def build_pretext(cfg: DictConfig) -> tuple[Pretext, dict[str, Any]]:
    """The pretext task of `cfg.pretrain` with its part, and the config of that part."""
    name = str(cfg.pretrain.part)
    if name != "llm":
        cfg = cfg.copy()
        cfg.llm.checkpoint = NONE  # it plays no part
    factory = build_factory(cfg)
    part: Any = factory.build_language_model() if name == "llm" else factory.build_expert(name)
    config = constructor_arguments(plain(cfg.llm if name == "llm" else cfg.experts[name]))
    make = constructor(plain(cfg.pretrain.pretext))
    return factory.build_seeded(f"pretext {name}", lambda: make(part=part)), config


def build_stages(cfg: DictConfig) -> list[Stage]:
    """The stages in the user's order."""
    return [build_stage(str(name), plain(node)) for name, node in cfg.stages.items()]


def build_stage(name: str, config: dict[str, Any]) -> Stage:
    """One stage from its config."""
    config = {key: value for key, value in config.items() if key not in STAGE_DATA}
    schedule = Schedule(**{key: config.pop(key) for key in SCHEDULE})
    if projector := config.pop("projector", None):
        config |= {"projector": constructor(projector), "projector_config": projector}
    stage: Stage = get_class(config.pop("_target_"))(name=name, schedule=schedule, **config)
    return stage


def build_blind(cfg: DictConfig) -> Blind | None:
    """The model that is trained without images, on a schedule of its own; None if it is switched off."""
    config = plain(cfg.evaluation.blind)
    if not config["steps"]:
        return None
    lr = config.pop("lr")
    return Blind(BLIND, {"llm": lr}, Schedule(**config))


def build_data(cfg: DictConfig, tell: Callable[[str], None], training: bool = True) -> DataSource:
    """The run's samples; only the held-out ones if not `training`."""
    world, settings = cfg.world, cfg.data
    read = partial(
        read_samples,
        max_bad=settings.get("max_bad", 0),
        limit=settings.limit,
        checked=Path(world.root) / "checked",
        warn=tell,
    )
    official = build_benchmarks(cfg)
    of_stages = {}
    for name, stage in cfg.stages.items() if training else ():
        if stage.train is not None:
            samples = read(stage.train, image_root=stage.image_root)
            of_stages[str(name)] = Split(samples, hash_samples(samples))
    common = {"cache_mb": settings.cache_mb, "workers": settings.workers, "of_stages": of_stages}
    if settings.source == "synthetic":
        synthetic = SyntheticWorld(
            World(world.train_images, world.val_questions, world.canvas, plain(world.weights), world.seed),
            Path(world.root),
            tell,
        )
        train = synthetic.train[: settings.limit] if training else []
        digest = synthetic.digest if settings.limit is None else f"{synthetic.digest}-{settings.limit}"
        return DataSource(train=train, val=official or synthetic.val, digest=digest, **common)
    if training and OmegaConf.is_missing(settings, "train"):
        raise UserError("data.train is not set: give your LLaVA file, data.train=my.json.")
    train = read(settings.train, image_root=settings.image_root) if training else []
    val = read(settings.val, image_root=settings.image_root) if settings.val is not None and not official else []
    return DataSource(train=train, val=official or val, digest=hash_samples(train), **common)


def build_benchmarks(cfg: DictConfig) -> list[Sample]:
    """The questions of the evaluation's benchmark files, which are then all that is evaluated; none if it names none."""
    samples = []
    few = QUICK if cfg.debug == "fast" else None  # not data.limit: a benchmark counts whole
    for name, file in (cfg.evaluation.get("benchmarks") or {}).items():
        if file is not None:
            suffixes = (BENCHMARKS[name].suffix, BENCHMARKS[name].open_suffix)
            checked = Path(cfg.world.root) / "checked"
            samples += read_benchmark(file, name, *suffixes, limit=few, checked=checked)
    return samples


def build_evaluation(cfg: DictConfig) -> EvaluationSettings:
    """How answers are made and scored."""
    config = plain(cfg.evaluation)
    del config["blind"]
    benchmarks = [name for name, file in (config.pop("benchmarks", None) or {}).items() if file is not None]
    return EvaluationSettings(
        **config, benchmarks=benchmarks, device=device_of(cfg), seed=cfg.seed, cache_mb=cfg.data.cache_mb
    )


def build_look(cfg: DictConfig, data: DataSource) -> Validator | None:
    """What looks at held-out samples while a stage trains; None where there are none."""
    samples = take_evenly(data.val, cfg.held_out.samples) if cfg.held_out.every else []
    return Validator(samples, build_evaluation(cfg), data.reader) if samples else None


def build_fit(cfg: DictConfig, loggers: list[Logger], console: Console, seed: int | None = None) -> Fit:
    """What trains a unit."""
    trainer = plain(cfg.trainer)
    strategy, nodes, compiled = trainer.pop("strategy"), trainer.pop("nodes"), trainer.pop("compile")
    return Fit(
        {**trainer, "num_nodes": nodes},
        loggers,
        cfg.seed if seed is None else seed,
        console,
        cfg.checkpoints.every,
        cfg.held_out.every,
        processes_of(cfg),
        None if strategy is None else instantiate(strategy),
        compiled,
    )


def build_loggers(cfg: DictConfig, folder: Path) -> list[Logger]:
    """The run's loggers, writing into its folder; of several processes, one logs."""
    nodes = cfg.logger.values() if is_main_process() else ()
    return [instantiate(node, save_dir=str(folder), _convert_="all") for node in nodes]


def build_store(cfg: DictConfig, tell: Callable[[str], None]) -> Store:
    """The store of finished stages; store=none keeps nothing."""
    return Store(optional_path(cfg.store), tell)
