"""task=eval: evaluate a finished run again. Imports nothing heavy by itself."""

from eaglebench.config.compose import Command
from eaglebench.config.finished_run import config_of_run, run_folder
from eaglebench.config.schema import LmmsEvalConfig


def evaluate_run(command: Command) -> None:
    """Evaluate the run with its own settings, or the command's where it changes them; or with lmms-eval.

    Raises:
        UserError: there is no such run, nothing to evaluate, or questions that the metrics cannot score.
    """
    folder, config = run_folder(command), config_of_run(command)
    # Here, so that mistakes above are answered before torch is imported.
    if isinstance(config.evaluation, LmmsEvalConfig):
        from eaglebench.integrations.lmms_eval.evaluate import evaluate_lmms

        evaluate_lmms(folder, config.evaluation, config.trainer.device, command.config.plugins)
    else:
        from eaglebench.tasks.eval_run import evaluate_again

        evaluate_again(folder, config)
