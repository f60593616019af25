"""The folder of a finished run: what its config and model are, and how they are read again."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from eaglebench.language.base import LanguageModel
from eaglebench.model.eagle import EagleModel
from eaglebench.model.factory import Workshop
from eaglebench.utils.errors import UserError
from eaglebench.utils.files import read_object, write_text
from eaglebench.weights.files import load_weights, write_weights

CONFIG, MODEL, MANIFEST = "config.yaml", "model.safetensors", "manifest.json"


def save_config(folder: Path, cfg: DictConfig) -> None:
    """Write the resolved config."""
    missing = OmegaConf.missing_keys(cfg)
    assert not missing, missing
    write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))))


def save_model(folder: Path, model: EagleModel) -> None:
    """Write all weights."""
    write_weights(folder / MODEL, model.state_dict())


def load_config(folder: str | Path, needed: Sequence[str] = (CONFIG, MODEL)) -> DictConfig:
    """The config of a finished run that has the `needed` files.

    Raises:
        UserError: the folder is not that of a finished run.
    """
    missing = [name for name in needed if not (Path(folder) / name).is_file()]
    if missing:
        raise UserError(
            f"run={folder} is not the folder of a finished run (no {' and no '.join(missing)} in it): "
            "give a folder that a training wrote, results/..."
        )
    loaded = OmegaConf.load(Path(folder) / CONFIG)
    assert isinstance(loaded, DictConfig)
    return loaded


def load_model(folder: str | Path, workshop: Workshop) -> tuple[EagleModel, LanguageModel]:
    """The model of a finished run with its trained weights, and its language model."""
    model, language = workshop.eagle(workshop.experts)
    load_weights(model, Path(folder) / MODEL, f"run={folder}")
    return model, language


PREDICTIONS, SCORES, PICTURE = "predictions.jsonl", "scores.json", "samples.png"

BENCHMARKED = (
    "benchmarks"  # folder of a run, with one for each official benchmark that it was asked later, and the scores of all
)


def benchmark_predictions(folder: Path) -> list[Path]:
    """The predictions of the benchmarks that the scores of a folder BENCHMARKED have; others there are of earlier weights."""
    families = (read_object(folder / SCORES) or {}).get("families", {})
    paths = [folder / name / PREDICTIONS for name in sorted(families)]
    return [path for path in paths if path.is_file()]


METRICS = "metrics.csv"

ASKED = f"{BENCHMARKED}/{SCORES}"

SELECTION = "selection.json"
