"""task=bench: runs the measurement that the group `bench` names."""

from pkgutil import resolve_name

from eaglebench.config.compose import Command


def bench(command: Command) -> None:
    """Run the measurement, whose `_target_` is called with the command and the other fields of `bench`."""
    settings = command.config.bench
    assert settings is not None
    resolve_name(settings.target)(command=command, **settings.arguments)
