"""What the experts share that are any backbone of a library."""

import pytest
import timm

from eaglebench.config.compose import compose_command
from eaglebench.experts.backbones import find_blocks
from eaglebench.utils.errors import UserError
from tests.conftest import LIBRARIES


def test_the_blocks_of_every_stage_are_found() -> None:
    network = timm.create_model("resnet50", pretrained=False)
    assert len(find_blocks(network)) == 3 + 4 + 6 + 3


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_backbone_must_be_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"experts\.{name}\.backbone is not set"):
        compose_command([f"experts=[{name}]"])
