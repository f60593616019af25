"""From the typed configuration to the samples of a run, and to how they are scored."""

from collections.abc import Callable
from functools import partial

from eaglebench.config.schema import Config, DataConfig
from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.llava import hash_samples, read_samples
from eaglebench.data.sample import OF_WORLD, Sample
from eaglebench.data.source import DataSource, Split, SyntheticWorld
from eaglebench.data.square import ImageSettings
from eaglebench.data.synthetic.engine import World
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.evaluation_settings import EvaluationSettings
from eaglebench.evaluation.validation import Validator, take_evenly

FAST_QUESTIONS = 64  # of an evaluation, or of each benchmark, with fast=true


def build_data(config: Config, log: Callable[[str], None], training: bool = True) -> DataSource:
    """The run's samples; only the held-out ones if not `training`.

    Raises:
        UserError: a file or a record of it cannot be used.
    """
    settings = config.data
    read = partial(
        read_samples,
        max_bad=settings.max_bad,
        limit=settings.limit,
        checked=settings.cache_dir / "checked",
        max_pixels=settings.max_pixels,
        warn=log,
    )
    official = build_benchmarks(config)
    synthetic = build_world(config, log) if settings.source == "synthetic" else None
    of_stages = {}
    for name, stage in config.stages.items() if training else ():
        if stage.data in OF_WORLD and synthetic is not None:
            own = synthetic.of_stage(str(stage.data))[: settings.limit]
            of_stages[name] = Split(own, world_digest(synthetic, settings, str(stage.data)))
        elif stage.data is not None:
            samples = read(stage.data, image_root=stage.image_root, root_field=f"stages.{name}.image_root")
            of_stages[name] = Split(samples, hash_files(samples, settings))
    source = partial(
        DataSource,
        images=build_image_settings(settings),
        cache_mb=settings.cache_mb,
        workers=settings.workers,
        of_stages=of_stages,
    )
    if synthetic is not None:
        train = synthetic.train[: settings.limit] if training else []
        return source(train=train, val=official or synthetic.val, digest=world_digest(synthetic, settings))
    train = read(settings.train, image_root=settings.image_root) if training and settings.train is not None else []
    val = []
    if settings.val is not None and not official:
        val = read(settings.val, image_root=settings.image_root, distinct=True)
    return source(train=train, val=official or val, digest=hash_files(train, settings))


def build_world(config: Config, log: Callable[[str], None]) -> SyntheticWorld:
    """The synthetic world of a run."""
    world = config.world
    numbers = World(world.train_images, world.val_questions, world.canvas, world.mixture, world.seed)
    return SyntheticWorld(numbers, config.data.cache_dir, log, world.split)


def world_digest(synthetic: SyntheticWorld, settings: DataConfig, *more: str) -> str:
    """Hash of everything that training on so many samples of the synthetic world depends on."""
    limit = () if settings.limit is None else (str(settings.limit),)
    return "-".join([synthetic.digest, *more, *limit])


def build_image_settings(settings: DataConfig) -> ImageSettings:
    """How images become squares."""
    return ImageSettings(settings.shape, settings.max_pixels)


def hash_files(samples: list[Sample], settings: DataConfig) -> str:
    """Hash samples of files with what is made of their images. The synthetic world has no need of it: it is square."""
    return f"{hash_samples(samples)}-{settings.shape}"


def build_benchmarks(config: Config) -> list[Sample]:
    """The questions of the evaluation's benchmark files; where there are some, nothing else is evaluated."""
    samples = []
    limit = FAST_QUESTIONS if config.fast else None  # not data.limit: a benchmark counts whole
    for name, file in config.scoring.benchmarks.items():
        if file is not None:
            suffixes = (BENCHMARKS[name].suffix, BENCHMARKS[name].open_suffix)
            samples += read_benchmark(
                file,
                name,
                *suffixes,
                limit=limit,
                checked=config.data.cache_dir / "checked",
                max_pixels=config.data.max_pixels,
            )
    return samples


def build_evaluation(config: Config) -> EvaluationSettings:
    """How answers are generated and scored."""
    section = config.scoring
    return EvaluationSettings(
        batch_size=section.batch_size,
        max_new_tokens=section.max_new_tokens,
        overlong=section.overlong,
        generate=section.generate,
        metrics=section.metrics,
        default_metric=section.default_metric,
        benchmarks=[name for name, file in section.benchmarks.items() if file is not None],
        shuffled=section.shuffled,
        other_question=section.other_question,
        device=config.trainer.device,
        seed=config.seed,
        cache_mb=config.data.cache_mb,
        images=build_image_settings(config.data),
    )


def build_validator(config: Config, data: DataSource) -> Validator | None:
    """What validates on held-out samples while a stage trains; None where there are none."""
    samples = take_evenly(data.val, config.validation.samples) if config.validation.every else []
    return Validator(samples, build_evaluation(config), data.reader) if samples else None
