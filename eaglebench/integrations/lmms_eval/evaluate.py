"""task=eval evaluation=lmms_eval: evaluates a finished run on tasks of lmms-eval."""

import argparse
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from eaglebench.config.schema import LmmsEvalConfig
from eaglebench.runs import LMMS
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError, first_line


def evaluate_lmms(run: Path, settings: LmmsEvalConfig, device: str, plugins: Sequence[str] = ()) -> None:
    """Let lmms-eval ask and score a finished run; print its scores, and write its files into the run folder.

    Args:
        run: the run folder.
        settings: lmms-eval's tasks and how they are answered.
        device: where answers are generated.
        plugins: modules of the user's own whose classes the run may name.

    Raises:
        UserError: lmms-eval is not installed, does not know a task, or cannot get the data of one.
    """
    if importlib.util.find_spec("lmms_eval") is None:
        raise UserError(
            "evaluation=lmms_eval needs lmms-eval: uv sync --extra lmms "
            "(with pip, pip install lmms-eval in an environment of its own)."
        )
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.loggers import EvaluationTracker
    from lmms_eval.tasks import TaskManager
    from lmms_eval.utils import get_datetime_str
    from tenacity import RetryError

    from eaglebench.integrations.lmms_eval.model import EagleBench

    manager = TaskManager(include_path=settings.include_path, model_name="eaglebench")
    if unknown := [name for name in settings.tasks if not manager.match_tasks([name])]:
        raise UserError(
            f"evaluation.tasks names {', '.join(unknown)}, which lmms-eval does not have: `lmms-eval tasks list` "
            "prints its tasks, and evaluation.include_path=FOLDER adds tasks of your own."
        )
    folder = run / LMMS
    folder.mkdir(exist_ok=True)
    time = get_datetime_str("UTC")
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("eaglebench", f"run={run}", None, None, False)
    try:
        results = simple_evaluate(
            EagleBench(str(run), settings.batch_size, device, settings.max_new_tokens, "+".join(plugins)),
            model_args=f"run={run}",  # recorded in lmms-eval's files
            batch_size=settings.batch_size,
            tasks=manager.match_tasks(settings.tasks),
            task_manager=manager,
            limit=settings.limit,
            gen_kwargs=settings.gen_kwargs,
            datetime_str=time,
            # What lmms-eval's tasks read from its command line: where their own files go.
            cli_args=argparse.Namespace(output_path=str(folder), process_with_media=False),
        )
    except RetryError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise UserError(
            f"lmms-eval cannot get the data of a task ({first_line(error.__cause__)}): they come from the Hugging Face "
            "hub; a task file of your own can name a local copy, evaluation.include_path=FOLDER."
        ) from error
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples, time)
    for name in results["configs"]:
        tracker.save_results_samples(name, samples[name])
    new_console().print(build_lmms_table(results), f"wrote {folder}")


def build_lmms_table(results: Mapping[str, Any]) -> Table:
    """The table of the scores of every task, under the names and in the units of lmms-eval's `results`."""
    table = Table("task", "metric", "score", "n", title="lmms-eval")
    for task, scores in results["results"].items():
        for key, score in scores.items():
            if isinstance(score, (int, float)) and "_stderr" not in key:
                error = scores.get(key.replace(",", "_stderr,"))
                text = f"{score:.4f} ± {error:.4f}" if isinstance(error, float) else f"{score:.4f}"
                count = results["n-samples"].get(task, {}).get("effective", "")  # a group has no samples of its own
                table.add_row(task, key.removesuffix(",none"), text, str(count))
    return table
