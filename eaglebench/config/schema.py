"""TODO."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from eaglebench.config.compose import TASKS, options
from eaglebench.config.resolvers import EAGLE_RELEASE
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.metrics import METRICS
from eaglebench.training.setup import Schedule
from eaglebench.utils.errors import UserError, nearest_that_fit

NONE = "none"  # on the command line, for a path that is not wanted

# Of an expert, not its constructor's.
TREATMENT = (
    "aligned",
    "frozen",
    "lr",
    "layer_decay",
    "checkpoint",
    "pixels",
    "dtype",
    "activation_checkpointing",
    "lora",
)

LANGUAGE_TREATMENT = ("lora", "activation_checkpointing")

OTHER_VERSION = "its config is of another version of eaglebench; train the run again."

HIGH_RES = ("high_res", "native_size", "global_view")

STAGE_DATA = ("train", "image_root")  # of a stage, not its constructor's

SCHEDULE = tuple(Schedule.__dataclass_fields__)


def plain(node: Any) -> Any:
    """A config node as resolved plain Python."""
    return OmegaConf.to_container(node, resolve=True)


def optional_path(value: str | None) -> Path | None:
    """The path of a field that may be null or none."""
    return None if value is None or str(value) == NONE else Path(value).expanduser()


def device_of(cfg: DictConfig) -> str:
    """What generates answers."""
    devices = {"gpu": "cuda", "cuda": "cuda", "mps": "mps", "auto": "cuda" if torch.cuda.is_available() else "cpu"}
    return devices.get(cfg.trainer.accelerator, "cpu")


def processes_of(cfg: DictConfig) -> int:
    """How many processes train together, one for each device of each node."""
    return devices_of(cfg) * int(cfg.trainer.nodes)


def devices_of(cfg: DictConfig) -> int:
    """How many devices of each node are used."""
    devices = cfg.trainer.devices
    if isinstance(devices, ListConfig):
        return len(devices)
    if devices == "auto":
        return 1 if cfg.trainer.accelerator == "cpu" else max(1, torch.cuda.device_count())
    return int(devices)


PIXELS = ("own", EAGLE_RELEASE)

HIGH_RES_WAYS = ("interpolate", "tile")

FUSION_WORDS = {"shrink": ("antialias", "unshuffle"), "stages": ("all", "last")}

FUSION_NUMBERS = ("grid", "heads", "points", "channels", "depth", "window", "top", "projector_width")

FUSION_OPTIONAL = ("grid", "projector_width")

FUSION_SWITCHES = ("align_corners", "norm", "interleaved")

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

NONFINITE = ("stop", "skip")

DTYPES = ("float32", "bfloat16", "float16")

CANVAS_STEP = 32  # what the grids of the pretext tasks divide


def validate(cfg: DictConfig) -> None:
    """Refuse, before anything is built or downloaded, what cannot work.

    Raises:
        UserError: one sentence with the way out.
    """
    if cfg.task not in TASKS:
        raise UserError(f"task={cfg.task} is unknown: choose {', '.join(TASKS)}.")
    if cfg.debug not in (False, True, "fast"):
        raise UserError(
            f"debug={cfg.debug} is unknown: choose false, true (tracebacks) or fast (the whole path in seconds)."
        )
    if cfg.compat not in (None, EAGLE_RELEASE):
        raise UserError(f"compat={cfg.compat} is unknown: leave it out, or choose {EAGLE_RELEASE}.")
    if cfg.pretrain.part is not None and cfg.task != "pretrain":
        raise UserError(f"part={cfg.pretrain.part} belongs to task=pretrain: add that, or leave part out.")
    check_counts("launcher", cfg.launcher, ["at_once"])
    validate_evaluation(cfg)
    if cfg.task in ("train", "pretrain", "plan"):
        validate_training(cfg)
    if cfg.task in ("train", "plan"):
        if cfg.evaluation.blind.steps != 0:
            validate_schedule("evaluation.blind", cfg.evaluation.blind)
        validate_experts(cfg)
        validate_fusion(cfg)
        validate_stages(cfg)
        validate_language(cfg)
    elif cfg.task == "pretrain":
        validate_pretraining(cfg)
    elif cfg.task == "bench":
        validate_experts(cfg)
        validate_fusion(cfg)
        for key, known in (("dtypes", DTYPES), ("fusions", options("fusion"))):
            if unknown := set(cfg.bench.get(key, ())) - set(known):
                raise UserError(f"bench.{key} names {', '.join(sorted(unknown))}: choose from {', '.join(known)}.")
        check_numbers("bench", cfg.bench, ["batch_size", "repeats"])
        if min(cfg.bench.batch_size, cfg.bench.repeats) < 1:
            raise UserError("bench.batch_size and bench.repeats must be at least 1.")
    elif cfg.task == "convert":
        if missing := [f"convert.{key}" for key in ("benchmark", "source", "to") if cfg.convert[key] is None]:
            raise UserError(
                f"task=convert needs {', '.join(missing)}, as in convert.benchmark=gqa convert.source=FOLDER convert.to=gqa.jsonl."
            )
    elif cfg.task in ("eval", "predict") and cfg.run is None:
        raise UserError(f"task={cfg.task} needs run=FOLDER, the folder of a finished run (results/...).")
    if cfg.task == "predict" and not cfg.prompt:
        raise UserError("task=predict needs prompt='...' (and image=FILE for a question about an image).")


def validate_experts(cfg: DictConfig) -> None:
    """Refuse an empty list, sizes that do not fit, and full-size experts without weights."""
    if not cfg.experts:
        raise UserError(f"experts=[] leaves nothing to see with: choose from {', '.join(options('experts'))}.")
    for name, expert in cfg.experts.items():
        usual = cfg.presets[name][cfg.size] if name in cfg.presets else {}
        check_numbers(f"experts.{name}", expert, [key for key in usual if is_number(usual[key])])
        for key, known in (("high_res", HIGH_RES_WAYS), ("dtype", DTYPES), ("pixels", PIXELS)):
            if expert[key] not in known:
                raise UserError(f"experts.{name}.{key}={expert[key]} is unknown: choose from {', '.join(known)}.")
        validate_treatment(name, expert)
        for key in ("backbone", "checkpoint"):
            if OmegaConf.is_missing(expert, key):
                raise UserError(f"experts.{name}.{key} is not set: conf/experts/{name}.yaml says what it takes.")
        if expert.high_res == "tile" and None in (expert.native_size, expert.image_size):
            raise UserError(f"experts.{name}.high_res=tile needs experts.{name}.native_size and image_size.")
        if expert.high_res == "tile":
            validate_size(f"experts.{name}", expert.image_size, expert.native_size, "native side (high_res=tile)")
        patch = expert.get("patch_size")
        if patch is not None and expert.high_res != "tile":
            validate_size(f"experts.{name}", expert.image_size, patch, "patch")
        if cfg.size == "full" and expert.checkpoint is None and cfg.task != "plan":
            raise UserError(
                f"experts.{name}.checkpoint is not set: at size=full give the file of its weights, "
                f"weights.{name}=FILE, or none to start from random ones."
            )


def validate_fusion(cfg: DictConfig) -> None:
    """Refuse words that a strategy does not know, and numbers that are none."""
    fusion = cfg.fusion
    for key in FUSION_NUMBERS:
        value = fusion.get(key, 1)
        if value is None and key in FUSION_OPTIONAL:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"fusion.{key}={value} must be a whole number above 0.")
    for key in FUSION_SWITCHES:
        if not isinstance(fusion.get(key, False), bool):
            raise UserError(f"fusion.{key}={fusion[key]} must be true or false.")
    if not isinstance(fusion.get("route"), (ListConfig, type(None))):
        raise UserError(f"fusion.route={fusion.route} must be a list of experts, as in 'fusion.route=[sam]', or null.")
    for key, known in FUSION_WORDS.items():
        if key in fusion and fusion[key] not in known:
            raise UserError(f"fusion.{key}={fusion[key]} is unknown: choose from {', '.join(known)}.")


def validate_treatment(name: str, expert: DictConfig) -> None:
    """Refuse learning rates, adapters and precisions that cannot train."""
    owner, lora = f"experts.{name}", expert.lora
    if expert.lr is not None:
        check_numbers(owner, expert, ["lr"])
        if expert.lr < 0:
            raise UserError(f"{owner}.lr={expert.lr} is negative: give a learning rate, or {owner}.frozen=true.")
    validate_lora(owner, lora)
    if expert.dtype != "float32" and not expert.frozen and not lora.rank:
        raise UserError(
            f"{owner}.dtype={expert.dtype} holds weights too coarsely to train them: add {owner}.frozen=true or "
            f"{owner}.lora.rank=16, or leave float32 and set trainer.precision=bf16-mixed."
        )


def validate_language(cfg: DictConfig) -> None:
    """Refuse adapters that are none, and weights that are held too coarsely to be trained."""
    llm = cfg.llm
    validate_lora("llm", llm.lora)
    trains = [(f"stages.{name}", "lr.llm") for name, stage in cfg.stages.items() if stage.lr.get("llm")]
    trains += [("evaluation.blind", "steps")] if cfg.evaluation.blind.steps else []
    coarse = [
        f"{key}={llm[key]}" for key, exact in (("dtype", "float32"), ("quantize", None)) if llm.get(key, exact) != exact
    ]
    if llm.get("quantize") not in (None, "4bit"):
        raise UserError(f"llm.quantize={llm.quantize} is unknown: choose 4bit, or leave it out.")
    if coarse and trains and not llm.lora.rank:
        raise UserError(
            f"llm.{coarse[0]} holds weights too coarsely for {trains[0][0]} to train them: add llm.lora.rank=16, or {'.'.join(trains[0])}=0."
        )
    if llm.get("quantize") and cfg.trainer.strategy is not None and "ddp" not in cfg.trainer.strategy["_target_"]:
        raise UserError("llm.quantize=4bit cannot be cut into shards: choose trainer=gpu or trainer=ddp.")


def validate_lora(owner: str, lora: DictConfig) -> None:
    """Refuse numbers that make no adapter."""
    check_numbers(f"{owner}.lora", lora, list(lora))
    if not isinstance(lora.rank, int) or lora.rank < 0 or not 0 <= lora.dropout < 1:
        raise UserError(f"{owner}.lora needs a whole rank of at least 0, and a dropout from 0 to below 1.")


def validate_size(owner: str, size: int, step: int, what: str) -> None:
    """Refuse an image size that is not a multiple of `step`, whose name is `what`."""
    if step < 1:
        raise UserError(f"{owner}: a {what} of {step} must be at least 1.")
    if nearest := nearest_that_fit(size, step):
        raise UserError(f"{owner}.image_size={size} is not a multiple of its {what} of {step}: {nearest}")


def validate_pretraining(cfg: DictConfig) -> None:
    """Refuse a missing part, and sizes that the tiny world cannot teach."""
    if cfg.pretrain.part is None:
        raise UserError(f"task=pretrain needs part=NAME: choose from {', '.join(options('part'))}.")
    if cfg.size != "tiny":
        raise UserError("task=pretrain makes the tiny parts: leave size=tiny.")
    settings = cfg.pretrain
    if settings.part != "llm" and list(cfg.experts) != [settings.part]:
        raise UserError(f"part={settings.part} is the expert that is trained: leave experts as it is.")
    check_numbers("pretrain", settings, ["lr"])
    check_numbers("pretrain.kinds", settings.kinds, list(settings.kinds))
    if min(settings.kinds.values()) < 0 or not any(settings.kinds.values()):
        raise UserError("pretrain.kinds must be shares of at least 0, and not all of them 0.")
    for key, value in {
        "pretrain.steps": settings.steps,
        "pretrain.batch_size": settings.batch_size,
        "pretrain.held_out": settings.held_out,
    }.items():
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{key}={value} must be a whole number above 0.")
    if settings.epochs is not None:
        raise UserError("pretrain.epochs has no meaning: no picture is drawn twice; set pretrain.steps.")
    if cfg.world.canvas % CANVAS_STEP:
        raise UserError(f"world.canvas={cfg.world.canvas} must be a multiple of {CANVAS_STEP} for task=pretrain.")


def validate_evaluation(cfg: DictConfig) -> None:
    """Refuse sizes that answer nothing, and unknown metrics."""
    settings = cfg.evaluation
    check_counts("evaluation", settings, ["batch_size", "max_new_tokens"])
    if "tasks" in settings:
        validate_lmms(cfg)
        return
    for key, name in {
        **{f"metrics.{key}": value for key, value in settings.metrics.items()},
        "default_metric": settings.default_metric,
    }.items():
        if name not in METRICS:
            raise UserError(f"evaluation.{key}={name} is unknown: choose from {', '.join(METRICS)}.")
    files = settings.get("benchmarks")
    if files is None:
        return
    if unknown := sorted(set(map(str, files)) - set(BENCHMARKS)):
        raise UserError(f"evaluation.benchmarks names {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}.")
    if not any(files.values()):
        raise UserError(
            "evaluation.benchmarks has no file: give one, as in evaluation.benchmarks.gqa=gqa.jsonl (task=convert makes them)."
        )


def validate_lmms(cfg: DictConfig) -> None:
    """Refuse lmms-eval as the evaluation of anything but a finished run, and without tasks."""
    settings = cfg.evaluation
    if cfg.task != "eval":
        raise UserError(f"evaluation=lmms_eval belongs to task=eval: leave it out of task={cfg.task}.")
    if not isinstance(settings.tasks, ListConfig) or not settings.tasks:
        raise UserError("evaluation.tasks is not set: give names of lmms-eval's tasks, 'evaluation.tasks=[ocrbench]'.")
    if settings.limit is not None:
        check_numbers("evaluation", settings, ["limit"])
        if settings.limit < 1:
            raise UserError(f"evaluation.limit={settings.limit} must be at least 1, or null for every question.")


def is_number(value: Any) -> bool:
    """An int or a float, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_numbers(path: str, node: DictConfig, keys: Iterable[Any]) -> None:
    """Refuse fields of `node` that must be numbers and are not."""
    for key in keys:
        if not is_number(node[key]):
            raise UserError(f"{path}.{key}={node[key]} is not a number.")


def check_counts(path: str, node: DictConfig, keys: Iterable[Any]) -> None:
    """Refuse fields of `node` that must be numbers of at least 1 and are not."""
    for key in keys:
        check_numbers(path, node, [key])
        if node[key] < 1:
            raise UserError(f"{path}.{key}={node[key]} must be at least 1.")


def validate_stages(cfg: DictConfig) -> None:
    """Refuse an empty list and lengths that train nothing."""
    if not cfg.stages:
        raise UserError(f"stages=[] trains nothing: choose from {', '.join(options('stages'))}.")
    check_numbers("world", cfg.world, ["train_images", "val_questions", "canvas"])
    check_numbers("data", cfg.data, ["max_bad", "cache_mb", "workers"])
    for name, stage in cfg.stages.items():
        validate_schedule(f"stages.{name}", stage)
        check_numbers(f"stages.{name}.lr", stage.lr, list(stage.lr))
        check_numbers(f"stages.{name}.unfreeze_at", stage.unfreeze_at, list(stage.unfreeze_at))
        if stage.train == "" and cfg.task != "plan":
            raise UserError(
                f"stages.{name}.train is not set: give the LLaVA file of this stage, or null for that of data.train."
            )


def validate_schedule(path: str, node: DictConfig) -> None:
    """Refuse the numbers of an optimisation that train nothing."""
    numbers = ("batch_size", "micro_batch", "steps", "epochs", "warmup", "weight_decay", "clip")
    check_numbers(path, node, [key for key in numbers if node[key] is not None])
    for key in ("batch_size", "micro_batch"):
        if (key == "batch_size" or node[key] is not None) and (not isinstance(node[key], int) or node[key] < 1):
            raise UserError(f"{path}.{key}={node[key]} must be at least 1.")
    if node.nonfinite not in NONFINITE:
        raise UserError(f"{path}.nonfinite={node.nonfinite} is unknown: choose from {', '.join(NONFINITE)}.")
    if (node.steps is None) == (node.epochs is None):
        raise UserError(f"{path} needs either steps or epochs: set one and leave the other null.")
    if (node.steps if node.steps is not None else node.epochs) <= 0:
        raise UserError(f"{path} has no length: steps or epochs must be above 0.")


def validate_training(cfg: DictConfig) -> None:
    """Refuse what no trainer here can do."""
    for path, least in (("checkpoints.every", 1), ("held_out.every", 0), ("held_out.samples", 0)):
        value = OmegaConf.select(cfg, path)
        if not isinstance(value, int) or value < least:
            raise UserError(f"{path}={value} must be a whole number of at least {least}.")
    trainer = cfg.trainer
    devices = [trainer.devices] if not isinstance(trainer.devices, ListConfig) else list(trainer.devices)
    if isinstance(trainer.devices, ListConfig) and len(devices) > 1:
        raise UserError(
            f"trainer.devices={trainer.devices}: choose by CUDA_VISIBLE_DEVICES, and say how many, trainer.devices={len(devices)}."
        )
    least = 0 if isinstance(trainer.devices, ListConfig) else 1
    if not devices or any(str(one) != "auto" and (not isinstance(one, int) or one < least) for one in devices):
        raise UserError(
            f"trainer.devices={trainer.devices} must be a whole number above 0, a list of one device, or auto."
        )
    if not isinstance(trainer.nodes, int) or trainer.nodes < 1:
        raise UserError(f"trainer.nodes={trainer.nodes} must be a whole number of at least 1.")
    alone = trainer.nodes == 1 and (isinstance(trainer.devices, ListConfig) or trainer.devices == 1)
    if cfg.task == "pretrain" and (cfg.launcher.name != "local" or not alone):
        raise UserError("task=pretrain takes minutes on one device: leave trainer.devices and launcher as they are.")
    if cfg.launcher.name == "slurm":
        check_numbers("launcher", cfg.launcher, ["time", "cpus_per_task", "warning"])
        if "auto" in map(str, devices):
            raise UserError(
                "trainer.devices=auto is not known before a job has its place: give a number with launcher=slurm."
            )
        if cfg.store in (None, "none"):
            raise UserError(
                "store=none loses what a job has done when it is interrupted: give a folder with launcher=slurm."
            )
    if not isinstance(trainer.compile, bool):
        raise UserError(f"trainer.compile={trainer.compile} must be true or false.")
    if trainer.precision not in PRECISIONS:
        raise UserError(f"trainer.precision={trainer.precision} is unknown: choose from {', '.join(PRECISIONS)}.")


def check(settings: Mapping[str, Any]) -> None:
    """Refuse what cannot be searched.

    Raises:
        UserError: one sentence with the way out.
    """
    known = options("experts")
    for field in ("start", "pool"):
        if not isinstance(settings.get(field, []), list):
            raise UserError(f"select.{field}={settings[field]} is no list: give 'select.{field}=[clip,sam]'.")
    for field, kind in (("seeds", int), ("min_gain", (int, float)), ("max_loss", (int, float)), ("max_sets", int)):
        if field in settings and not isinstance(settings[field], kind):
            raise UserError(f"select.{field}={settings[field]} is not a number that it can be.")
    if settings["name"] == "round_robin" and not settings["start"]:
        raise UserError("select.start is empty: name the expert to begin with, the base.")
    names = [*settings.get("start", ()), *settings["pool"]]
    for name in names:
        if name not in known:
            raise UserError(f"select names the expert {name}, which is unknown: choose from {', '.join(known)}.")
        if names.count(name) > 1:
            raise UserError(f"select names the expert {name} twice: leave it in select.start or in select.pool.")
    if not names:
        raise UserError("select.pool is empty: name experts.")
    if settings["seeds"] < 1:
        raise UserError(f"select.seeds={settings['seeds']} is not a number of trials: give 1 or more.")
    if settings.get("beyond_spread") and settings["seeds"] < 2:
        raise UserError("select.beyond_spread=true needs a spread: give select.seeds=3, or another number above 1.")
