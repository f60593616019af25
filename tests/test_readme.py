"""The README's commands, run as they are printed; trainings at a reduced length."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, turns, write_records

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INSTALL = "pip install -q uv && "


def commands() -> list[str]:
    lines = [line for block in BLOCK.findall(README.read_text()) for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("   #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def ours(line: str) -> list[str]:
    """The words after `python -m eaglebench`."""
    words = shlex.split(line.removeprefix(INSTALL))
    words = words[2:] if words[:2] == ["uv", "run"] else words
    assert words[:3] == ["python", "-m", "eaglebench"], line
    return words[3:]


def test_the_first_screen_has_the_two_commands() -> None:
    assert commands()[:2] == [
        "pip install -q uv && uv run python -m eaglebench fusion=channel_concat 'experts=[clip,sam]'",
        "pip install -q uv && uv run pytest",
    ]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: the files that they name are there."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "images").mkdir()
    records = [{"id": f"r{i}", "image": "a.png", "conversations": turns("<image> colour", "red")} for i in range(20)]
    write_records(folder / "images", records)
    for name in ("my.json", "held_out.json"):
        (folder / "images" / "data.json").replace(folder / name) if name == "my.json" else write_records(
            folder, records, name
        )
    (folder / "images" / "a.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "gqa/images").mkdir(parents=True)
    asked = {"1": {"imageId": "a", "question": "What colour?", "answer": "red", "isBalanced": True}}
    (folder / "gqa/testdev_balanced_questions.json").write_text(json.dumps(asked))
    (folder / "gqa/images/a.jpg").write_bytes((folder / "a.png").read_bytes())
    (folder / "page.png").write_bytes((folder / "a.png").read_bytes())
    shutil.copytree(README.parent / "sweeps", folder / "sweeps")
    return folder


def apart(line: str) -> bool:
    """Whether a command needs none that comes before it, and takes long."""
    return any(word in line for word in ("task=plan", "trainer.devices=2", "task=select", "task=sweep", "task=bench"))


def run_all(lines: list[str], workplace: Path, fast_store: list[str], command: Callable[..., Outcome]) -> None:
    """The first one and those of several processes as a user types them, the others in this process: to import
    everything takes longer
    than most of them."""
    for number, line in enumerate(lines):
        words = ours(line)
        if "-m" in words:  # two values of the first list are a sweep too
            first, *others = [word for word in words if "," in word]
            words = [words[0], ",".join(first.split(",")[:2]), *(word.split(",")[0] for word in others)]
        run = next((word for word in words if word.startswith("run=")), None)
        if run is not None:
            words[words.index(run)] = "run=results/readme"
        elif "task=compare" in words:
            words[-1] = "compare.runs=[results/readme,results/readme]"
        elif "task=plan" in words:
            if "experiment=eagle_x5" in words:  # minutes; tests/plan has models of that size
                words += ["--cfg", "job"]
        elif not {"--help", "--cfg"} & set(words):
            words += [*fast_store, "hydra.run.dir=results/readme", "held_out.every=0"]
        if number == 0 or "trainer.devices=2" in words:
            done = subprocess.run(
                [sys.executable, "-m", "eaglebench", *words], capture_output=True, text=True, timeout=300
            )
            outcome = Outcome(done.returncode, done.stdout, done.stderr)
        else:
            outcome = command(*words)
        assert outcome.code == 0, (line, outcome.err[-2000:])
        assert "Traceback" not in outcome.err


def test_the_commands_run_in_their_order(
    workplace: Path, fast_store: list[str], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    lines = [line for line in commands() if not line.endswith("pytest") and not apart(line)]
    assert len(lines) >= 6
    run_all(lines, workplace, fast_store, command)


@pytest.mark.slow
def test_the_commands_that_take_long_run(
    workplace: Path, fast_store: list[str], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    lines = list(filter(apart, commands()))
    assert len(lines) >= 3
    run_all(lines, workplace, fast_store, command)
