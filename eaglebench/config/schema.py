"""The typed configuration: one class a group of conf/. What each field means is said where users read it, in conf/.

Values are checked as strictly as JSON: `1.5` is no number of steps, `"3"` is no number. A component (what has a
`_target_`) also takes the
arguments of its constructor, which `config.read` checks against that constructor's annotations: a new one needs no
line here.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Gt, Len
from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
)

from eaglebench.config.schema_base import Component, Lora, OptimizationConfig, Section, optional_path
from eaglebench.config.schema_tasks import (
    BenchConfig,
    CompareConfig,
    ConvertConfig,
    PlanConfig,
    PretrainConfig,
    ReportConfig,
    SelectConfig,
)
from eaglebench.data.open_image import MAX_PIXELS
from eaglebench.data.square import Shape

Kind = Literal["experts", "fusion", "llm"]  # of parts
DType = Literal["float32", "bfloat16", "float16"]


class ExpertConfig(Component):
    """A vision encoder: how it is treated; its own arguments are its class's."""

    aligned: bool
    frozen: bool
    lr: NonNegativeFloat | None
    layer_decay: Annotated[float, Gt(0), Field(le=1)]
    checkpoint: str | None
    pixels: Literal["own", "eagle_release"]
    dtype: DType
    activation_checkpointing: bool
    lora: Lora
    native_size: PositiveInt | None
    high_res: Literal["interpolate", "tile"]
    global_view: bool


class FusionConfig(Component):
    """A fusion strategy."""

    PROVIDED = frozenset({"experts", "width"})

    name: str


class LanguageConfig(Component):
    """A language model; which of `checkpoint` and `model` it has depends on its builder."""

    lora: Lora
    activation_checkpointing: bool
    checkpoint: str | None = None
    model: str | None = None
    template: str
    max_length: PositiveInt
    dtype: DType = "float32"
    quantize: Literal["4bit"] | None = None
    architecture: dict[str, Any] | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """`_target_` and the arguments of the builder, whichever of the fields above these are."""
        treatment = ("lora", "activation_checkpointing", "architecture")
        given = self.model_dump(by_alias=True, exclude_unset=True)
        return {key: value for key, value in given.items() if key not in treatment}


class StageConfig(OptimizationConfig, Component):
    """A training stage."""

    model_config = Component.model_config
    PROVIDED = frozenset({"name", "schedule", "hyperparameters", "projector_config"})

    lr: dict[Kind, NonNegativeFloat]
    unfreeze_at: dict[Kind, NonNegativeInt]
    group_by_length: bool = False  # of runs that were trained before there was a choice
    data: str | None
    image_root: str | None
    template: str | None


class BlindConfig(OptimizationConfig):
    """The model that is trained without images; `steps=0` leaves it out."""

    steps: NonNegativeInt | None
    lr: NonNegativeFloat


class DataConfig(Section):
    """Where samples come from."""

    source: Literal["synthetic", "llava_json"]
    train: str | None
    val: str | None
    image_root: str | None
    shape: Shape = "pad"  # of runs that were trained before there was a choice
    max_pixels: PositiveInt = MAX_PIXELS
    max_bad: NonNegativeInt
    limit: PositiveInt | None
    cache_mb: NonNegativeInt
    features_mb: NonNegativeInt = 0  # of runs that were trained before there was a choice
    cache_dir: Path
    workers: NonNegativeInt


class WorldConfig(Section):
    """The synthetic world."""

    train_images: PositiveInt
    val_questions: PositiveInt
    canvas: PositiveInt
    seed: int
    split: Literal["val", "test", "composition"]
    mixture: dict[str, NonNegativeFloat]


class TrainerConfig(Section):
    """What trains: devices, precision, strategy."""

    accelerator: Literal["cpu", "gpu", "cuda", "mps", "auto"]
    devices: PositiveInt | Literal["auto"] | Annotated[list[NonNegativeInt], Len(1, 1)]
    nodes: PositiveInt
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    deterministic: bool
    strategy: "StrategyConfig | None"
    compile: bool

    @property
    def devices_per_node(self) -> int:
        """How many devices of each node are used."""
        if isinstance(self.devices, list):
            return len(self.devices)
        if self.devices != "auto":
            return self.devices
        if self.accelerator == "cpu":
            return 1
        import torch  # takes seconds: only where GPUs are to be counted

        return max(1, torch.cuda.device_count())

    @property
    def processes(self) -> int:
        """How many processes train together, one for each device of each node."""
        return self.devices_per_node * self.nodes

    @property
    def device(self) -> str:
        """The device that generates answers, by its name in torch."""
        if self.accelerator == "auto":
            import torch  # takes seconds

            return "cuda" if torch.cuda.is_available() else "cpu"
        return "cuda" if self.accelerator == "gpu" else self.accelerator


class StrategyConfig(Component):
    """How a model is spread over several devices."""

    PROVIDED = frozenset({"devices"})


class LauncherConfig(Component):
    """Where a run happens, and how many at once."""

    at_once: PositiveInt


class LoggerConfig(Component):
    """A logger of Lightning."""

    PROVIDED = frozenset({"save_dir"})


class EvaluationConfig(Section):
    """How answers are generated and scored."""

    batch_size: PositiveInt
    max_new_tokens: PositiveInt
    overlong: Literal["refuse", "shorten_answer"] = "refuse"
    generate: dict[str, Any] | None
    metrics: dict[str, str]
    default_metric: str
    shuffled: bool
    other_question: bool
    blind: BlindConfig
    benchmarks: dict[str, str | None] = Field(default_factory=dict)


class LmmsEvalConfig(Section):
    """lmms-eval's tasks, prompts and scores."""

    tasks: list[str]
    include_path: str | None
    limit: PositiveInt | None
    gen_kwargs: str | None
    batch_size: PositiveInt
    max_new_tokens: PositiveInt


class ValidationConfig(Section):
    """Validation while a stage trains."""

    every: NonNegativeInt
    samples: NonNegativeInt


class TaskConfig(Section):
    """What the command does."""

    name: str
    target: str = Field(alias="_target_")


def _evaluation_kind(value: Any) -> str:
    return "lmms_eval" if isinstance(value, dict) and "tasks" in value else "own"


class Config(Section):
    """The whole configuration of a command."""

    task: TaskConfig
    seed: NonNegativeInt
    size: Literal["tiny", "full"]
    fast: bool
    debug: bool
    plugins: list[str]
    compat: Literal["eagle_release"] | None
    store: str | None
    run_name: str
    checkpoint_every: PositiveInt
    validation: ValidationConfig
    pretrained: dict[str, str | None]

    experts: dict[str, ExpertConfig]
    fusion: FusionConfig
    llm: LanguageConfig
    data: DataConfig
    world: WorldConfig
    stages: dict[str, StageConfig]
    trainer: TrainerConfig
    launcher: LauncherConfig
    logger: dict[str, LoggerConfig]
    evaluation: Annotated[
        Annotated[EvaluationConfig, Tag("own")] | Annotated[LmmsEvalConfig, Tag("lmms_eval")],
        Discriminator(_evaluation_kind),
    ]

    # The settings of single tasks, from conf/task/NAME.yaml; None in other tasks.
    rerun: bool = False
    run: str | None = None
    image: str | None = None
    prompt: str | None = None
    sweep: str | None = None
    prune: str | list[str] | None = None
    runs: str | None = None
    compare: CompareConfig | None = None
    report: ReportConfig | None = None
    plan: PlanConfig | None = None
    convert: ConvertConfig | None = None
    bench: BenchConfig | None = None
    select: SelectConfig | None = None
    pretrain: PretrainConfig | None = None

    @property
    def store_folder(self) -> Path | None:
        """The store of finished stages; None if nothing is kept."""
        return optional_path(self.store)

    @property
    def scoring(self) -> EvaluationConfig:
        """The evaluation, where it is our own."""
        assert isinstance(self.evaluation, EvaluationConfig)
        return self.evaluation
