"""What fields that are right by themselves cannot mean together: refused before anything is built or downloaded."""

from collections.abc import Mapping, Sequence

from eaglebench.config.messages import join_choices, nearest, unknown
from eaglebench.config.schema import Config, EvaluationConfig, ExpertConfig, LmmsEvalConfig
from eaglebench.config.schema_base import OptimizationConfig
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.metrics import METRICS
from eaglebench.utils.errors import UserError, suggest_multiples

CANVAS_STEP = 32  # what the grids of the pretext tasks divide


def check_rules(config: Config, known_experts: Sequence[str]) -> None:
    """Refuse what cannot work.

    Args:
        known_experts: every expert that could be chosen.

    Raises:
        UserError: one sentence with the way out.
    """
    task = config.task.name
    for name in config.pretrained:
        if name not in known_experts:
            raise UserError(unknown(f"pretrained.{name}", known_experts))
    check_evaluation(config)
    if task in ("train", "plan"):
        check_experts(config)
        check_stages(config)
        check_language(config)
    if task == "bench":
        check_experts(config)
    if task in ("train", "plan", "pretrain"):
        check_placement(config)
    if task == "pretrain":
        check_pretraining(config)
    if task == "select":
        check_selection(config, known_experts)
    check_needs(config)


def check_needs(config: Config) -> None:
    """Refuse a task without what it is about."""
    task = config.task.name
    if task in ("eval", "predict") and config.run is None:
        raise UserError(f"task={task} needs run=FOLDER, the folder of a finished run (results/...).")
    if task == "predict" and not config.prompt:
        raise UserError("task=predict needs prompt='...' (and image=FILE for a question about an image).")
    if task == "sweep" and config.sweep is None:
        raise UserError("task=sweep needs a file: sweep=sweeps/table4_fusion.yaml.")
    if config.compare is not None and len(config.compare.runs) != 2:
        raise UserError("compare.runs must be the folders of two finished runs: 'compare.runs=[results/A,results/B]'.")
    if config.convert is not None:
        missing = [f"convert.{key}" for key in ("benchmark", "source", "to") if getattr(config.convert, key) is None]
        if missing:
            raise UserError(
                f"task=convert needs {', '.join(missing)}, as in convert.benchmark=gqa convert.source=FOLDER "
                "convert.to=gqa.jsonl."
            )


def check_experts(config: Config) -> None:
    """Refuse an empty list, sizes that do not fit, and full-size experts without weights."""
    if not config.experts:
        raise UserError("experts=[] leaves nothing to see with: choose some, as in 'experts=[clip,sam]'.")
    for name, expert in config.experts.items():
        check_expert(f"experts.{name}", expert)
        if config.size == "full" and expert.checkpoint is None and config.task.name != "plan":
            raise UserError(
                f"experts.{name}.checkpoint is not set: at size=full give the file of its weights, "
                f"pretrained.{name}=FILE, or none to start from random ones."
            )


def check_expert(path: str, expert: ExpertConfig) -> None:
    """Refuse sizes of one expert that do not fit, and precisions that cannot train."""
    size, patch = expert.arguments.get("image_size"), expert.arguments.get("patch_size")
    if expert.high_res == "tile":
        if expert.native_size is None or size is None:
            raise UserError(f"{path}.high_res=tile needs {path}.native_size and image_size.")
        check_size(path, size, expert.native_size, "native side (high_res=tile)")
    elif isinstance(patch, int) and isinstance(size, int):
        check_size(path, size, patch, "patch")
    if expert.dtype != "float32" and not expert.frozen and not expert.lora.rank:
        raise UserError(
            f"{path}.dtype={expert.dtype} is a precision too low to train in: add {path}.frozen=true or "
            f"{path}.lora.rank=16, or leave float32 and set trainer.precision=bf16-mixed."
        )


def check_size(path: str, size: int, step: int, what: str) -> None:
    """Refuse an image size that is not a multiple of `step`, whose name is `what`."""
    if nearest_sizes := suggest_multiples(size, step):
        raise UserError(f"{path}.image_size={size} is not a multiple of its {what} of {step}: {nearest_sizes}")


def check_language(config: Config) -> None:
    """Refuse weights of the language model in a precision too low to train in."""
    llm = config.llm
    trains = [(f"stages.{name}", "lr.llm") for name, stage in config.stages.items() if stage.lr.get("llm")]
    if isinstance(config.evaluation, EvaluationConfig) and config.evaluation.blind.steps:
        trains.append(("evaluation.blind", "steps"))
    low = [f"dtype={llm.dtype}"] if llm.dtype != "float32" else []
    low += [f"quantize={llm.quantize}"] if llm.quantize is not None else []
    if low and trains and not llm.lora.rank:
        raise UserError(
            f"llm.{low[0]} is a precision too low for {trains[0][0]} to train in: add llm.lora.rank=16, or "
            f"{'.'.join(trains[0])}=0."
        )


def check_stages(config: Config) -> None:
    """Refuse an empty list, and stages that train nothing or lack their data."""
    if not config.stages:
        raise UserError("stages=[] trains nothing: choose some, as in 'stages=[projector,sft]'.")
    for name, stage in config.stages.items():
        check_length(f"stages.{name}", stage)
        if stage.data == "" and config.task.name != "plan":
            raise UserError(
                f"stages.{name}.data is not set: give the LLaVA file of this stage, or null for that of data.train."
            )
    if config.data.source == "llava_json" and config.data.train is None and config.task.name == "train":
        raise UserError("data.train is not set: give your LLaVA file, data.train=my.json.")
    if config.data.source == "synthetic" and (config.data.train or config.data.val):
        field = "train" if config.data.train else "val"
        raise UserError(f"data.{field} is for a file of your own: add data=llava_json.")
    check_shares("world.mixture", config.world.mixture)
    if isinstance(config.evaluation, EvaluationConfig) and config.evaluation.blind.steps != 0:
        check_length("evaluation.blind", config.evaluation.blind)


def check_length(path: str, section: OptimizationConfig) -> None:
    """Refuse none or two lengths."""
    if (section.steps is None) == (section.epochs is None):
        raise UserError(f"{path} needs either steps or epochs: set one and leave the other null.")


def check_shares(path: str, shares: Mapping[str, float]) -> None:
    """Refuse shares that are all 0."""
    if not any(shares.values()):
        raise UserError(f"{path} must have a share above 0.")


def check_placement(config: Config) -> None:
    """Refuse devices that the task cannot use."""
    one_device = config.trainer.devices == 1 or isinstance(config.trainer.devices, list)
    if config.task.name == "pretrain" and not (one_device and config.trainer.nodes == 1):
        raise UserError("task=pretrain takes minutes on one device: leave trainer.devices as it is.")


def check_pretraining(config: Config) -> None:
    """Refuse a missing part, and sizes that the tiny world cannot teach."""
    settings = config.pretrain
    if settings is None:
        raise UserError("task=pretrain needs the part to make: pretrain=sam, or another expert or llm.")
    if config.size != "tiny":
        raise UserError("task=pretrain makes the tiny parts: leave size=tiny.")
    if settings.part != "llm" and list(config.experts) != [settings.part]:
        raise UserError(f"pretrain={settings.part} trains that expert: leave experts as it is.")
    check_shares("pretrain.kinds", settings.kinds)
    if settings.epochs is not None:
        raise UserError("pretrain.epochs has no meaning: no image is drawn twice; set pretrain.steps.")
    if config.world.canvas % CANVAS_STEP:
        raise UserError(f"world.canvas={config.world.canvas} must be a multiple of {CANVAS_STEP} for task=pretrain.")


def check_evaluation(config: Config) -> None:
    """Refuse unknown metrics and benchmarks, and lmms-eval for anything but a finished run."""
    settings = config.evaluation
    if isinstance(settings, LmmsEvalConfig):
        if config.task.name != "eval":
            raise UserError(f"evaluation=lmms_eval belongs to task=eval: leave it out of task={config.task.name}.")
        if not settings.tasks:
            raise UserError(
                "evaluation.tasks is not set: give names of lmms-eval's tasks, 'evaluation.tasks=[ocrbench]'."
            )
        return
    metrics = {f"metrics.{family}": name for family, name in settings.metrics.items()}
    for field, name in {**metrics, "default_metric": settings.default_metric}.items():
        if name not in METRICS:
            near = nearest(name, METRICS)
            hint = f"did you mean {join_choices(near)}?" if near else f"choose from {', '.join(METRICS)}."
            raise UserError(f"evaluation.{field}={name} is unknown: {hint}")
    for name in settings.benchmarks:
        if name not in BENCHMARKS:
            raise UserError(unknown(f"evaluation.benchmarks.{name}", BENCHMARKS))
    if settings.benchmarks and not any(settings.benchmarks.values()):
        raise UserError(
            "evaluation.benchmarks has no file: give one, as in evaluation.benchmarks.gqa=gqa.jsonl "
            "(task=convert makes them)."
        )


def check_selection(config: Config, known_experts: Sequence[str]) -> None:
    """Refuse a selection among experts that there are not, or twice the same."""
    assert config.select is not None
    settings = config.select.arguments
    names = [*settings.get("start", ()), *settings.get("pool", ())]
    if "start" in settings and config.select.name == "round_robin" and not settings["start"]:
        raise UserError("select.start is empty: name the expert to begin with, the base.")
    for name in names:
        if name not in known_experts:
            raise UserError(
                f"select names the expert {name}, which is unknown: choose from {', '.join(known_experts)}."
            )
        if names.count(name) > 1:
            raise UserError(f"select names the expert {name} twice: leave it in select.start or in select.pool.")
    if not names:
        raise UserError("select.pool is empty: name experts.")
    if settings.get("beyond_spread") and config.select.seeds < 2:
        raise UserError("select.beyond_spread=true needs a spread: give select.seeds=3, or another number above 1.")
