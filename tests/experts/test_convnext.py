"""ConvNeXt has four stages."""

import pytest

from eaglebench.experts.convnext import ConvNeXt
from eaglebench.utils.errors import UserError


@pytest.mark.parametrize("depths", [(1, 1, 1), (1, 1, 1, 1, 1)])
def test_another_number_of_stages_is_refused(depths: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="must have 4 numbers each"):
        ConvNeXt(image_size=64, depths=depths, dims=(8, 16, 24, 32))
