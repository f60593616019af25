"""MME: one folder per category, with an image and a text file of the same name for every two questions."""

from collections.abc import Iterator

from eaglebench.data.converters.base import Record, Source
from eaglebench.data.text_files import read_text
from eaglebench.utils.errors import UserError

IMAGES = {".jpg", ".png", ".jpeg"}
QUESTIONS_OF_AN_IMAGE = 2
# Removed from the questions: the suffix of the benchmark (`evaluation/benchmarks.py`) replaces it.
INSTRUCTION = " Please answer yes or no."
SUBFOLDERS = ("images", "questions_answers_YN")  # some categories keep images and texts apart


def convert(source: Source) -> Iterator[Record]:
    """Yield two records per image; the category is the folder.

    Raises:
        UserError: a text file does not hold two questions about one image.
    """
    for path in source.files("*.txt"):
        folder = path.parent.parent if path.parent.name in SUBFOLDERS else path.parent
        images = [image for image in sorted(folder.rglob(f"{path.stem}.*")) if image.suffix.lower() in IMAGES]
        if not images:  # a README
            continue
        lines = [line.split("\t") for line in read_text(path).split("\n") if line.strip()]
        if len(images) > 1 or len(lines) != QUESTIONS_OF_AN_IMAGE or any(len(line) != 2 for line in lines):
            raise UserError(f"{path} must hold two lines of question, tab and answer, about one image beside it.")
        for number, (question, answer) in enumerate(lines):
            yield Record(
                f"{folder.name}/{path.stem}-{number}",
                images[0],
                question.strip().removesuffix(INSTRUCTION.strip()).strip(),
                [answer.strip()],
                folder.name,
            )
