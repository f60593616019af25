"""Images of every kind mean what a person sees in them, in every place; what cannot be seen is refused by its name."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

import eaglebench
from eaglebench.config.finished_run import config_of_run
from eaglebench.data.collate import read_sample_image
from eaglebench.data.converters.ai2d import draw_labels
from eaglebench.data.converters.mmmu import join_images
from eaglebench.data.images import ImageReader, load_image
from eaglebench.data.llava import read_samples
from eaglebench.data.open_image import open_image
from eaglebench.data.sample import Sample
from eaglebench.data.square import ImageSettings
from eaglebench.data.unreadable import UnreadableImage
from eaglebench.integrations.lmms_eval.messages import parse_conversation
from eaglebench.report.predictions import make_thumbnail
from eaglebench.runs import MODEL, write_run_config
from eaglebench.trained import to_square
from eaglebench.utils.errors import UserError
from tests.conftest import command_of, turns, write_records
from tests.helpers.pictures import COLOUR, GREY, INK_ON_PAPER, PICTURES, difference, encode, write_picture

LOSSY = ("jpg", "avif", "gif", "palette.png", "jpeg_named.png")  # ends of names of files that lose something
SQUARE = ImageSettings("squash")


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_file_shows_its_picture(tmp_path: Path, name: str) -> None:
    path, seen = write_picture(tmp_path, name)
    shown = open_image(path)
    assert shown.mode == "RGB"
    assert difference(shown, seen) <= (3 if name.endswith(LOSSY) else 0)


# A photograph on its side, ink on nothing, and 16 bits: what goes wrong where an image is opened in another way.
TELLING = ("turned.jpg", "formula_rgba.png", "grey16.png")


def squash(image: Image.Image) -> Image.Image:
    return image.resize((32, 32), Image.Resampling.BICUBIC)


def from_tensor(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def label(path: Path) -> Image.Image:
    path.with_suffix(".json").write_text('{"text": {}}')
    return squash(Image.open(BytesIO(draw_labels(path, path.with_suffix(".json")))))


def show_lmms_eval(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        content = [{"type": "image", "url": opened}, {"type": "text", "text": "?"}]
        image = parse_conversation("d", [{"role": "user", "content": content}])[1]
        assert image is not None
        return from_tensor(load_image(image, 32, SQUARE).numpy())


def ask_with_pillow(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return from_tensor(to_square(opened, 32, SQUARE).numpy())


PLACES: dict[str, Callable[[Path], Image.Image]] = {
    "training, evaluation and benchmarks": lambda path: from_tensor(ImageReader(32, 1, SQUARE)(path).numpy()),
    "Run.ask and task=predict": lambda path: from_tensor(to_square(path, 32, SQUARE).numpy()),
    "Run.ask with an image of Pillow": ask_with_pillow,
    "lmms-eval": show_lmms_eval,
    "labels drawn for AI2D": label,
    "images joined for MMMU": lambda path: squash(Image.open(BytesIO(join_images("q", [path.read_bytes()])))),
    "thumbnails of the report": lambda path: squash(Image.open(BytesIO(make_thumbnail(path)))),
}


@pytest.mark.parametrize("name", TELLING)
@pytest.mark.parametrize("place", PLACES)
def test_every_place_shows_the_same_picture(tmp_path: Path, place: str, name: str) -> None:
    path, seen = write_picture(tmp_path, name)
    assert difference(PLACES[place](path), squash(seen)) < 6  # thumbnails are lossy


def test_an_array_with_transparency_stands_on_white() -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    assert to_square(ink, 8, SQUARE).unique().tolist() == [255]


def test_no_other_place_opens_images() -> None:
    """`open_image.py` alone calls what reads image files."""
    libraries = ("cv2", "imageio", "skimage", "tifffile", "torchvision.io", "matplotlib.image")
    found = set()
    package = Path(eaglebench.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("Image.open", "PIL.Image.open", "plt.imread", "pyplot.imread"):
                found.add(path.relative_to(package).as_posix())
            # W&B opens the file of a path by itself.
            if called == "wandb.Image":
                assert "open_thumbnail" in ast.unparse(node), path
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names]
                names += [f"{node.module}.{name}" for name in names] if isinstance(node, ast.ImportFrom) else []
                assert not [name for name in names if name.startswith((*libraries, "PIL.Image.open"))], path
    assert found == {"data/open_image.py"}


FORMATS = "it is in none of the formats PNG, JPEG, WEBP"
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.png": (lambda: b"", "it is empty"),
    "page.png": (lambda: b"<html><body>404 Not Found</body></html>", FORMATS),
    "cut.jpg": (lambda: encode(COLOUR, "JPEG")[:700], "image file is truncated"),
    "cut.png": (lambda: encode(COLOUR)[:-40], "truncated"),
    "cut_in_its_header.png": (lambda: encode(COLOUR)[:20], "Truncated"),
    "cut.webp": (lambda: encode(COLOUR, "WEBP")[:-40], ""),
    "cut.gif": (lambda: encode(COLOUR, "GIF")[:-400], "truncated"),
    "program.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit", FORMATS),
    "nan.tif": (lambda: encode(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "are not finite"),
    "large.png": (lambda: encode(Image.new("1", (20_000, 10_000))), "it has 20,000 x 10,000 pixels, more than"),
    "bomb.gif": (lambda: encode(COLOUR, "GIF")[:6] + b"\xff\xff" * 2 + encode(COLOUR, "GIF")[10:], "65,535 x 65,535"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_seen_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """By the check before training, by training itself, by Python and by lmms-eval: never a picture of something else,
    never a traceback.
    """
    make, reason = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(make())
    records = write_records(tmp_path, [{"id": "r1", "image": name, "conversations": turns("<image>", "x")}])
    path.write_bytes(make())
    message = [{"role": "user", "content": [{"type": "image", "url": str(path)}, {"type": "text", "text": "?"}]}]
    for place in (
        lambda: read_samples(records, checked=tmp_path / "checked"),
        lambda: read_sample_image(Sample("s1", path, ()), ImageReader(4, 1, SQUARE)),
        lambda: to_square(path, 4, SQUARE),
        lambda: read_sample_image(
            Sample("d", Path("d"), ()), lambda _: load_image(parse_conversation("d", message)[1] or "", 4, SQUARE)
        ),
    ):
        with pytest.raises(UserError) as caught:
            place()
        assert name in str(caught.value) or "sample d: its image d" in str(caught.value)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_bytes_that_are_no_image_are_refused_too() -> None:
    for content, reason in ((b"", "it is empty"), (b"no image", FORMATS)):
        with pytest.raises(UserError, match=f"an image of q7 cannot be read: {reason}"):
            join_images("q7", [content])


def test_images_that_are_too_large_side_by_side_are_refused() -> None:
    tall, wide = (encode(Image.new("1", size)) for size in ((1, 100_000), (100_000, 1)))
    with pytest.raises(UserError, match="the images of q7 have 100,017 x 100,000 pixels side by side"):
        join_images("q7", [tall, wide])


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.png", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UnreadableImage, match=reason):
            open_image(path)


@pytest.mark.parametrize(
    "name", ["turned.jpg", "plain.webp", "animation.gif", "grey16.tif", "palette.png", "plain.jp2"]
)
def test_damaged_files_are_refused_or_shown_and_nothing_else(tmp_path: Path, name: str) -> None:
    """Bytes are overwritten at random: whatever a decoder stumbles over, one exception comes out."""
    path, _ = write_picture(tmp_path, name)
    content, random = path.read_bytes(), Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.choices(range(len(damaged)), k=random.choice((1, 4, 40))):
            damaged[place] = random.randrange(256)
        try:
            assert open_image(bytes(damaged), max_pixels=10**6).mode == "RGB"
        except UnreadableImage as error:
            refused += 1
            assert str(error)
    assert refused > 0


@pytest.mark.parametrize(("size", "seen"), [((1, 30_000), (1, 32)), ((30_000, 1), (32, 1)), ((1, 1), (32, 32))])
def test_a_line_of_an_image_keeps_a_pixel(size: tuple[int, int], seen: tuple[int, int]) -> None:
    pixels = to_square(Image.new("RGB", size, "red"), 32, ImageSettings("pad")).numpy()
    red = (pixels == np.array([255, 0, 0])[:, None, None]).all(axis=0)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == seen


MEMORY = """
import resource, sys
from pathlib import Path
from eaglebench.data.open_image import open_image
from eaglebench.data.square import make_square
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
make_square(open_image(Path(sys.argv[1])), 64, "pad")
before = peak()
square = make_square(open_image(Path(sys.argv[2])), 448, sys.argv[3])
print(square.size == (448, 448), peak() - before)
"""


@pytest.mark.parametrize("shape", ["pad", "squash", "crop"])
def test_memory_follows_the_pixels_of_an_image_not_its_length(tmp_path: Path, shape: str) -> None:
    """1 x 1,000,000 pixels, 3 MB: a square of that length would take 3 TB."""
    GREY.save(tmp_path / "small.png")
    Image.new("RGB", (1, 1_000_000), "red").save(tmp_path / "line.png")
    program = [sys.executable, "-c", MEMORY, str(tmp_path / "small.png"), str(tmp_path / "line.png"), shape]
    done = subprocess.run(program, capture_output=True, text=True, check=True, cwd=Path(eaglebench.__file__).parents[1])
    whole, megabytes = done.stdout.split()
    assert whole == "True"
    assert float(megabytes) < 150  # 42 where this was written: most are weights of the interpolation


def test_a_record_whose_image_is_too_large_names_the_field(tmp_path: Path) -> None:
    records = write_records(tmp_path, [{"id": "r1", "image": "a.png", "conversations": turns("<image>", "x")}])
    GREY.save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"r1: its image .*a\.png .*96 x 64 pixels, more than data\.max_pixels=6143"):
        read_samples(records, checked=tmp_path / "checked", max_pixels=6143)
    assert len(read_samples(records, checked=tmp_path / "checked", max_pixels=6144)) == 1


def test_other_data_does_not_change_the_squares_that_a_run_was_trained_on(tmp_path: Path) -> None:
    write_run_config(tmp_path, command_of("data.shape=crop").resolved)
    (tmp_path / MODEL).touch()
    asked = ("task=eval", f"run={tmp_path}", "data=llava_json", "data.val=x.json")
    assert config_of_run(command_of(*asked)).data.shape == "crop"
    assert config_of_run(command_of(*asked, "data.shape=squash")).data.shape == "squash"


def test_a_run_of_before_the_choice_was_padded(tmp_path: Path) -> None:
    resolved = json.loads(json.dumps(command_of().resolved))
    del resolved["data"]["shape"], resolved["data"]["max_pixels"]
    write_run_config(tmp_path, resolved)
    (tmp_path / MODEL).touch()
    assert config_of_run(command_of("task=eval", f"run={tmp_path}")).data.shape == "pad"


def test_the_picture_of_ink_has_ink() -> None:
    """What the tests above compare with is no empty page."""
    assert set(np.unique(np.asarray(INK_ON_PAPER))) == {0, 255}
