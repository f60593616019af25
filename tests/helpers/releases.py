"""A benchmark's official release as its makers publish it, converted and read back."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from eaglebench.data.benchmark import read_benchmark
from eaglebench.data.converters import CONVERTERS
from eaglebench.data.converters.base import Source, write_records
from eaglebench.data.sample import Sample
from eaglebench.evaluation.benchmarks import BENCHMARKS
from eaglebench.evaluation.metrics import METRICS

SIDE = 64  # of the images, in pixels


class ReleaseFolder:
    """A folder in the layout of a benchmark's release, written file by file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "source"
        self.to = folder / "out" / "bench.jsonl"

    def write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content))

    def lines(self, name: str, *records: Any) -> None:
        self.write(name, "".join(json.dumps(record) + "\n" for record in records))

    def images(self, *names: str) -> None:
        for name in names:
            self.write(name, encode_png())

    def convert(self, name: str) -> list[Sample]:
        """Convert the folder to a benchmark file, and read its samples; each reference answer must score 1."""
        write_records(CONVERTERS[name](Source(self.folder)), self.to)
        samples = read_benchmark(self.to, name, checked=self.to.parent)
        for turn in (sample.turns[0] for sample in samples):
            metric = METRICS[BENCHMARKS[name].metric_for(turn.meta)]
            assert metric(turn.answer, turn.references, turn.meta.get("choices", ())) == 1
        return samples


def encode_png(colour: str = "red") -> bytes:
    """A PNG of one colour, SIDE x SIDE."""
    buffer = BytesIO()
    Image.new("RGB", (SIDE, SIDE), colour).save(buffer, "PNG")
    return buffer.getvalue()


def describe(sample: Sample) -> tuple[str, str | None, str, tuple[str, ...], str | None]:
    """Id, name of the image, question, references and category."""
    turn = sample.turns[0]
    image = None if sample.image is None else sample.image.name
    return sample.id, image, turn.question, turn.references, turn.meta["category"]
