"""From the configuration to the samples: what is made of images reaches every reader, and the keys of stages."""

from pathlib import Path

from eaglebench.config.build_data import build_data, build_evaluation
from eaglebench.data.square import ImageSettings
from tests.conftest import composed, turns, write_records


def test_the_shape_of_images_reaches_training_and_evaluation_and_the_keys_of_stages(tmp_path: Path) -> None:
    path = write_records(tmp_path, [{"id": "1", "image": "a.png", "conversations": turns("<image>", "x")}])
    words = ("data=llava_json", f"data.train={path}", f"data.cache_dir={tmp_path}", f"stages.sft.data={path}")
    padded, cropped = (composed(*words, "data.max_pixels=96", f"data.shape={shape}") for shape in ("pad", "crop"))
    data, other = (build_data(config, print) for config in (padded, cropped))
    assert data.reader(8).settings == build_evaluation(padded).images == ImageSettings("pad", 96)
    assert other.reader(8).settings == build_evaluation(cropped).images == ImageSettings("crop", 96)
    for stage in ("projector", "sft"):
        assert data.training_split(stage).digest != other.training_split(stage).digest


def test_images_of_the_synthetic_world_are_square_and_its_keys_leave_the_shape_out(tmp_path: Path) -> None:
    digests = set()
    for shape in ("pad", "crop"):
        config = composed("fast=true", f"data.cache_dir={tmp_path}", f"data.shape={shape}")
        digests.add(build_data(config, print).digest)
    assert len(digests) == 1


def test_a_stage_can_train_on_the_captions_of_the_synthetic_world(tmp_path: Path) -> None:
    """By default the projector stage does, where there are some: own data has its own conversations."""
    config = composed("fast=true", f"data.cache_dir={tmp_path}", "data.limit=10")
    data = build_data(config, print)
    captions, questions = data.training_split("projector"), data.training_split("sft")
    assert len(captions.samples) == len(questions.samples) == 10
    assert all(not sample.turns[0].question for sample in captions.samples)
    assert [sample.image for sample in captions.samples] == [sample.image for sample in questions.samples]
    assert captions.digest != questions.digest
    assert (config.stages["projector"].template, config.stages["sft"].template) == ("plain", None)
    own = composed("data=llava_json", "data.train=x.json").stages["projector"]
    assert (own.data, own.template) == (None, None)


def test_questions_and_captions_can_be_mixed(tmp_path: Path) -> None:
    data = build_data(composed("fast=true", f"data.cache_dir={tmp_path}", "stages.projector.data=mixed"), print)
    mixed = data.training_split("projector")
    assert len(mixed.samples) == 2 * len(data.train)
    assert mixed.samples[1::2] == data.train
    assert all(len(sample.turns) == 1 and not sample.turns[0].question for sample in mixed.samples[::2])
    assert mixed.digest != data.digest


def test_the_questions_of_each_held_out_split_can_be_asked(tmp_path: Path) -> None:
    asked = {}
    for split in ("val", "test", "composition"):
        config = composed("fast=true", f"data.cache_dir={tmp_path}", f"world.split={split}")
        asked[split] = build_data(config, print)
    assert asked["val"].digest == asked["test"].digest  # of the training images
    names = {split: {sample.image for sample in data.val} for split, data in asked.items()}
    assert len(names["val"]) == len(names["test"]) and not names["val"] & names["test"]
    assert names["composition"] and not names["composition"] & (names["val"] | names["test"])
