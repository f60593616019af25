"""MMBench: images in base64, shared between rows."""

import base64
import csv

from tests.helpers.releases import ReleaseFolder, describe, encode_png


def test_mmbench(release: ReleaseFolder) -> None:
    image = base64.b64encode(encode_png()).decode()
    rows = [
        {"index": "241", "question": "Which?", "hint": "Look.", "A": "left", "B": "right", "C": "", "D": ""}
        | {"answer": "A", "category": "x", "image": image},
        {"index": "1000241", "question": "And?", "hint": "", "A": "left", "B": "right", "C": "up", "D": ""}
        | {"answer": "C", "category": "y", "image": "241"},
    ]
    release.folder.mkdir()
    with (release.folder / "mmbench_dev_en_20231003.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    first, second = release.convert("mmbench")
    assert describe(first) == ("241", "241.jpg", "Look.\nWhich?\nA. left\nB. right", ("A", "left"), "x")
    assert describe(second) == ("1000241", "241.jpg", "And?\nA. left\nB. right\nC. up", ("C", "up"), "y")
    assert first.image is not None
    assert first.image.read_bytes() == encode_png()
