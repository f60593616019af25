"""The device of a test, exact arithmetic on it, and the main job on the CPU that other runs are compared with."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eaglebench.__main__ import main
from tests.gpu.main_job import MAIN_JOB, leave_out_figure, list_overrides

# torch reads it once, at the first matrix product on a GPU. Lightning sets it too, but only for the runs with
# deterministic=true, and some other test may have used the GPU before.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The device under test, by its name in torch."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return str(request.param)


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """float32 is not rounded to TF32, as torch does in convolutions. Algorithms are deterministic only in runs that ask
    for it: some backward passes have no such algorithm on a GPU.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(False)
    yield
    matmul.allow_tf32, cudnn.allow_tf32, deterministic = before
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def cpu_run(fast_store: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the main job, trained on the CPU in float32."""
    folder = tmp_path_factory.mktemp("cpu_run")
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figure(patch)
        patch.setattr(sys, "argv", ["eaglebench", *list_overrides(fast_store, folder), *MAIN_JOB, "trainer=cpu"])
        main()
    return folder / "run"
