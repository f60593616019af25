"""Processes that are started end with the one that started them, however that one ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eaglebench.utils.errors import TERMINATED
from eaglebench.utils.processes import PARENT
from tests.helpers.processes import processes_in, wait_until_gone

POOL = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from eaglebench.utils.processes import start_worker
def work(number):
    Path(f"working-{{number}}").touch()
    time.sleep(600)
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, get_context("{method}"), start_worker)
    for number in range(2):
        pool.submit(work, number)
    while len(list(Path().glob("working-*"))) < 2:
        time.sleep(0.01)
    print("started", flush=True)
    time.sleep(600)
"""
LOADER = """
import time, torch
from torch.utils.data import DataLoader
from eaglebench.utils.processes import start_worker
loader = iter(DataLoader(range(10**9), num_workers=2, worker_init_fn=start_worker))
next(loader)
print("started", flush=True)
time.sleep(600)
"""
CHILD = '''
import os, subprocess, sys, time
from eaglebench.utils.processes import parent_environment
child = """import time
from eaglebench.utils.processes import end_with_parent
end_with_parent()
print("started", flush=True)
time.sleep(600)"""
subprocess.Popen([sys.executable, "-c", child], env={**os.environ, **parent_environment()}, start_new_session=True)
time.sleep(600)
'''
PROGRAMS = {
    "a pool that spawns": POOL.format(method="spawn"),
    "a pool that forks from a server": POOL.format(method="forkserver"),
    "a loader": LOADER,
    "a trial": CHILD,
}


def heed_hangups() -> None:
    """Programs inherit from nohup that they ignore SIGHUP; the suite may run under it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def list_deaths() -> Iterator[Any]:
    """Each program with each signal. A loader imports torch, which takes seconds: one signal will do."""
    for name, program in PROGRAMS.items():
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
            slow = name == "a loader" and number != signal.SIGKILL
            yield pytest.param(program, number, id=f"{name}-{number.name}", marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(("program", "number"), list(list_deaths()))
def test_what_a_process_started_dies_with_it(program: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "program.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, preexec_fn=heed_hangups) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"started\n"
        assert len(processes_in(tmp_path)) >= 2
        parent.send_signal(number)
        parent.wait()
        assert wait_until_gone(tmp_path, seconds=30.0) == []


def test_a_child_whose_parent_is_dead_already_does_not_begin() -> None:
    program = "from eaglebench.utils.processes import end_with_parent; end_with_parent(); print('began')"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, PARENT: "1"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (TERMINATED, "")


def test_a_script_of_the_user_is_not_run_again_in_the_processes_that_render(tmp_path: Path) -> None:
    """It needs no `if __name__ == "__main__"`."""
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\n"
        "from eaglebench.data.synthetic.engine import World, render_world\n"
        "print('started')\n"
        "world = World(train_images=2, val_questions=1, canvas=32, seed=0, mixture={'shapes': 1})\n"
        "print((render_world(world, Path('.'), 1, log=lambda line: None) / 'val.json').is_file())\n"
        "import __main__; print(__main__.__file__)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["started", "True", str(tmp_path / "script.py")], done.stderr
