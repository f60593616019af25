"""Names on the Hugging Face hub, and the commits that its download cache knows."""

from pathlib import Path

import pytest

from eaglebench.config.build import fingerprint
from eaglebench.weights.hub import is_hub_name, read_cached_commit


@pytest.mark.parametrize(
    ("value", "hub"),
    [
        ("openai/clip-vit-large-patch14-336", True),
        ("lab/vision@v2", True),
        ("weights/clip.pth", False),
        ("clip", False),
    ],
)
def test_names_on_the_hub(value: str, hub: bool) -> None:
    assert is_hub_name(value) == hub


def test_weights_of_the_hub_are_known_by_their_commit(hub: Path) -> None:
    """For the keys of finished stages: another commit under the same name is another checkpoint."""
    name = Path("lab/vision")
    before = fingerprint({"name": "clip", "activation_checkpointing": True}, "checkpoint", name)
    assert before == {"name": "clip", "checkpoint": [f"lab/vision {'0' * 40}"]}
    (hub.parents[1] / "refs" / "main").write_text("1" * 40)
    assert fingerprint({"name": "clip"}, "checkpoint", name)["checkpoint"] == [f"lab/vision {'1' * 40}"]
    assert read_cached_commit("lab/never-read") is None
