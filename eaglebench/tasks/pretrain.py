"""task=pretrain: one tiny part on its pretext task, its weights and its card. Imports nothing heavy by itself."""

from eaglebench.config.compose import Command
from eaglebench.launchers.base import build_launcher
from eaglebench.utils.errors import UserError


def pretrain(command: Command) -> None:
    """Train a part of the zoo from scratch, and write its weights and its card.

    Raises:
        UserError: the part cannot be built or trained, or the launcher runs nothing in this process.
    """
    if not build_launcher(command.config.launcher).runs_here:
        raise UserError("task=pretrain takes minutes in this process: leave launcher as it is.")
    from eaglebench.tasks.pretrain_run import (
        pretrain_part,  # here, so that mistakes are answered before torch is imported
    )

    pretrain_part(command)
