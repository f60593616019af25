"""task=convert: a benchmark as its makers give it out, made into a benchmark file."""

from pathlib import Path

from eaglebench.config.compose import Command
from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.converters import CONVERTERS
from eaglebench.data.converters.base import Source, write_records
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.utils.console import new_console
from eaglebench.utils.errors import UserError, first_line

SUFFIX = ".jsonl"
# What converters raise for content that is not what the makers publish.
FORMAT_ERRORS = (
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    SyntaxError,
    RecursionError,
)


def convert(command: Command) -> None:
    """Write the benchmark file `convert.to` from the folder `convert.source`, and read it back.

    Raises:
        UserError: the benchmark is unknown, or its folder does not hold its official release.
    """
    settings = command.config.convert
    assert settings is not None
    name, to = str(settings.benchmark), Path(str(settings.to)).expanduser()
    source = Source(Path(str(settings.source)).expanduser())
    if name not in CONVERTERS:
        raise UserError(f"convert.benchmark={name} is unknown: choose from {', '.join(CONVERTERS)}.")
    if to.suffix != SUFFIX:
        raise UserError(f"convert.to={to} must be a file {SUFFIX}.")
    try:
        write_records(CONVERTERS[name](source), to)
    except FORMAT_ERRORS as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"{source.folder} does not hold {name} in its makers' format ({reason}): unpack their own files there."
        ) from error
    samples = read_benchmark(to, name)
    images = {sample.image for sample in samples if sample.image is not None}
    console = new_console()
    console.print(f"wrote {to}: {len(samples):,} questions about {len(images):,} images.", soft_wrap=True)
    if differs := BENCHMARKS[name].differs:
        console.print(f"Its figures are not quite those of Eagle's paper: {differs}.", soft_wrap=True)
    console.print(
        "To evaluate a run: python -m eaglebench task=eval run=FOLDER evaluation=eagle11 "
        f"evaluation.benchmarks.{name}={to}",
        soft_wrap=True,
    )
