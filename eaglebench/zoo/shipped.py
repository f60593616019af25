"""The weights that ship with the package: a tiny one for each expert, and for the language model."""

from pathlib import Path

from eaglebench.utils.errors import UserError

SHIPPED = Path(__file__).parent / "weights"
ZOO = "zoo"  # as a checkpoint: the weights that ship with the package


def weights_file(folder: Path, part: str) -> Path:
    """The path of a part's weights."""
    return folder / f"{part}.safetensors"


def find_shipped_weights(part: str) -> Path:
    """The weights that ship with the package for a part: an expert's name, or `llm`.

    Raises:
        UserError: there are none; the message names the parts that have some.
    """
    file = weights_file(SHIPPED, part)
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.json"))) or "nothing"
        raise UserError(f"the zoo has no weights for {part}, only for {known}: give a file, or none.")
    return file
