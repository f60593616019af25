"""A lock between processes: one at a time, the others know for whom they wait, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eaglebench.utils.errors import UserError
from eaglebench.utils.locks import exclusive

HOLD = """
import sys, time
from pathlib import Path
from eaglebench.utils.locks import exclusive
with exclusive(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_file_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".run.lock"
    with exclusive(path, print):
        assert f"process {os.getpid()} on" in path.read_text()
    assert list(tmp_path.rglob("*.lock")) == []


def test_another_process_is_named_and_waited_for(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", list[str]()
    with holder(path, 1.0) as other:
        with exclusive(path, said.append):
            assert other.wait(5) == 0
        assert len(said) == 1
        assert said[0].startswith(f"process {other.pid} on ")
    assert not path.exists()


def test_a_dead_one_is_not_waited_for(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", list[str]()
    with holder(path, 60) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert path.exists()
    with exclusive(path, said.append):
        assert said == []
    assert not path.exists()


def test_of_many_at_once_each_is_alone(tmp_path: Path) -> None:
    """Although each removes the file that the others wait for."""
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(20):
            with exclusive(tmp_path / "lock", lambda _: None):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), exclusive(tmp_path / "file" / "lock", print):
        pass
