"""task=plan: estimates what a run needs, before anything is downloaded. Imports nothing heavy by itself."""

from eaglebench.config.compose import Command


def plan(command: Command) -> None:
    """Print the parts of a run, and memory, operations and time of each unit that trains.

    Raises:
        UserError: nothing trains, or parts do not fit together.
    """
    from eaglebench.tasks.plan_run import print_plan  # here, so that mistakes are answered before torch is imported

    print_plan(command)
