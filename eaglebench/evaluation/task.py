"""task=eval: evaluate a finished run again."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from eaglebench.build import build_data, build_evaluation, build_workshop, new_console
from eaglebench.digests import file_digest
from eaglebench.errors import UserError
from eaglebench.evaluation.evaluate import evaluate
from eaglebench.report.tables import scores_table
from eaglebench.runs import MODEL, load_config, load_model

FOLDER = "eval"  # inside the run's
# What a finished run can be evaluated with again; the rest made its model.
CHANGEABLE = ("data", "evaluation", "trainer")
OF_THE_COMMAND = ("task", "run", "image", "prompt", "debug", "store", "hydra")
FEW = 36  # questions with debug=fast


def evaluate_run(cfg: DictConfig) -> None:
    """Evaluate `cfg.run` with its own settings, or the command line's where it names `data`, `evaluation` or `trainer`."""
    console = new_console()
    run = load_config(cfg.run)
    take_overrides(run, cfg, HydraConfig.get().overrides.task)
    if "tasks" in run.evaluation:
        from eaglebench.evaluation.lmms.task import evaluate_lmms

        evaluate_lmms(cfg, run)
        return
    data = build_data(run, console.print, training=False)
    if not data.val:
        raise UserError("there is nothing to evaluate: give a file of questions and answers, data.val=FILE.")
    if cfg.debug == "fast":
        data.val = data.val[:: max(1, len(data.val) // FEW)]
    model, language = load_model(cfg.run, build_workshop(run, trained=True))
    folder = Path(cfg.run) / FOLDER
    of = file_digest(Path(cfg.run) / MODEL)
    result = evaluate(model, language, data.val, build_evaluation(run), folder, console, of)
    console.print(scores_table(result), f"wrote {folder}")


def take_overrides(run: DictConfig, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Copy into `run` what the command line set in `cfg`; refuse what made the model."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        top = key.split(".")[0]
        if top in CHANGEABLE:
            node = OmegaConf.select(cfg, key)
            value = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
            OmegaConf.update(run, key, value, merge=False)
        elif top not in OF_THE_COMMAND:
            raise UserError(
                f"{key} made the model of the finished run and cannot be changed now; "
                f"what can: {', '.join(CHANGEABLE)}."
            )
