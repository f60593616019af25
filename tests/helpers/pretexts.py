"""Pretext tasks as a config builds them, and scenes for them."""

from PIL import Image

from eaglebench.config.build import build_pretext
from eaglebench.data.synthetic.drawing import Mark, Scene, regions_from_boxes
from eaglebench.data.synthetic.engine import KINDS
from eaglebench.zoo.pretext import Pretext, SceneDataset
from tests.conftest import composed


def pretext_of(part: str) -> Pretext:
    """The pretext task of a part, with an untrained part."""
    return build_pretext(composed("task=pretrain", f"pretrain={part}"))[0]


def dataset_of(pretext: Pretext, length: int = 8, **kinds: float) -> SceneDataset:
    """Scenes of 128 pixels for a task, of all kinds or with these frequencies."""
    return SceneDataset(pretext, kinds or dict.fromkeys(KINDS, 1.0), 128, "test", length)


def blank_scene(*marks: Mark) -> Scene:
    """A scene of 128 pixels with objects that fill their boxes, on a black image."""
    return Scene(Image.new("RGB", (128, 128)), [], list(marks), regions_from_boxes(128, marks))
