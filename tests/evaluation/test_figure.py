"""The figure of sample answers."""

from pathlib import Path

from PIL import Image

from eaglebench.evaluation.figure import draw_samples


def test_a_figure_with_and_without_images_and_with_awkward_text(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    row = {"family": "x", "question": "$ what\nis it? \\frac{$" * 5, "reference": "$5", "prediction": "", "score": 0.0}
    draw_samples([{**row, "image": str(tmp_path / "a.png")}, {**row, "image": None}], tmp_path / "out" / "samples.png")
    with Image.open(tmp_path / "out" / "samples.png") as figure:
        assert figure.width > 300
