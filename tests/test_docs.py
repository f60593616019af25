"""README and docs: commands run as they are printed, trainings at a reduced length; links and names are right."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

import eaglebench
from eaglebench.config.command_line import parse_override, prepare_arguments, read_search_path, split_arguments
from eaglebench.config.compose import CONF, OPEN, compose_command, groups, options, read_yaml
from tests.conftest import Outcome, turns, write_records
from tests.helpers import docs
from tests.helpers.docs import PAGES, README

EXTENDING = docs.ROOT / "docs/extending.md"
# Commands that need none that comes before them, and take long or train what other ordinary tests train too.
LONG = (
    "task=plan",
    "trainer.devices=2",
    "task=select",
    "task=sweep",
    "task=bench",
    "sam_vary]",
    "experts=[clip,timm]",
    "high_res=tile",
    "fusion=mini_gemini",
    "fusion=mova",
)
# One step of each stage: what is trained here only has to reach the end.
SHORT = (
    "validation.every=0",
    "evaluation.shuffled=false",
    *(f"++presets.{stage}.tiny.steps=1" for stage in options("stages")),
)
SHORT_PRETRAINING = ("pretrain.steps=1", "pretrain.validation_images=16")
PLACEHOLDER = re.compile(r"^(X|[A-Z]{2,}\w*)$")  # as in experts.NAME.lr


def is_long(line: str) -> bool:
    return any(part in line for part in LONG) and "--cfg" not in line


def is_pytest(line: str) -> bool:
    return line.endswith("pytest")


@cache
def first_page_of() -> dict[str, Path]:
    """Each command, and the first page that has it: it is run there."""
    return {line: page for page in reversed(PAGES) for line in docs.commands(page)}


def commands_of(page: Path, long: bool) -> list[str]:
    lines = dict.fromkeys(docs.commands(page))
    return [line for line in lines if first_page_of()[line] == page and not is_pytest(line) and is_long(line) == long]


def pages_with(long: bool) -> list[Path]:
    return [page for page in PAGES if commands_of(page, long)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, finished_run: Path) -> Path:
    """Where the commands run: the files that they name are there, and finished runs."""
    folder = tmp_path_factory.mktemp("docs")
    records = [{"id": f"r{i}", "image": "a.png", "conversations": turns("<image> colour", "red")} for i in range(20)]
    for name in ("my.json", "held_out.json"):
        write_records(folder, records, name)
    image = (folder / "a.png").read_bytes()
    for name in ("images/a.png", "gqa/images/a.jpg", "page.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image)
    asked = {"1": {"imageId": "a", "question": "What colour?", "answer": "red", "isBalanced": True}}
    (folder / "gqa/testdev_balanced_questions.json").write_text(json.dumps(asked))
    shutil.copytree(docs.ROOT / "sweeps", folder / "sweeps")
    for name in ("RUN", "RUN_A", "RUN_B"):
        shutil.copytree(finished_run, folder / "results" / name)
    return folder


def go_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder the working directory, whose modules can be imported, until the test ends."""
    docs.write_files(EXTENDING, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:  # of another folder
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workplace as the working directory."""
    go_to(workplace, monkeypatch)


@pytest.fixture
def examples_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the worked examples alone."""
    go_to(tmp_path, monkeypatch)


def run_all(lines: list[str], fast_store: list[str], command: Callable[..., Outcome]) -> None:
    """Run commands, each of which has to succeed.

    The README's first one and those of several processes run as a user types them. The others run in this process: to
    import everything takes longer than most of them.
    """
    for line in lines:
        words, is_first = docs.arguments(line), line == docs.commands(README)[0]
        assert words is not None, line
        if "-m" in words:  # two values of the first list are a sweep too
            first, *others = [word for word in words if "," in word]
            words = [words[0], ",".join(first.split(",")[:2]), *(word.split(",")[0] for word in others)]
        if "task=plan" in words:
            if "experiment=eagle_x5" in words:  # minutes; tests/profiling/estimate has models of that size
                words += ["--cfg", "job"]
        elif not {"--help", "--cfg", "task=compare"} & set(words) and not any(
            word.startswith("run=") for word in words
        ):
            words += [*fast_store, *(SHORT_PRETRAINING if "task=pretrain" in words else () if is_first else SHORT)]
        if is_first or "trainer.devices=2" in words:
            done = subprocess.run(
                [sys.executable, "-m", "eaglebench", *words], capture_output=True, text=True, timeout=300
            )
            outcome = Outcome(done.returncode, done.stdout, done.stderr)
        else:
            outcome = command(*words)
        assert outcome.code == 0, (line, outcome.err[-2000:])
        assert "Traceback" not in outcome.err


def test_the_first_screen_has_the_two_commands() -> None:
    assert docs.commands(README)[:2] == [
        "pip install -q uv && uv run python -m eaglebench fusion=channel_concat 'experts=[clip,sam]'",
        "pip install -q uv && uv run pytest",
    ]
    assert sum(len(commands_of(page, long=False)) for page in PAGES) >= 15
    assert sum(len(commands_of(page, long=True)) for page in PAGES) >= 8


@pytest.mark.parametrize("page", pages_with(long=False), ids=docs.name_of)
def test_the_commands_run_in_their_order(
    page: Path, here: None, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    run_all(commands_of(page, long=False), fast_store, command)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(long=True), ids=docs.name_of)
def test_the_commands_that_take_long_run(
    page: Path, here: None, fast_store: list[str], command: Callable[..., Outcome]
) -> None:
    run_all(commands_of(page, long=True), fast_store, command)


@pytest.mark.parametrize("page", [page for page in PAGES if docs.blocks(page, "python")], ids=docs.name_of)
def test_the_python_of_a_page_runs(
    page: Path, here: None, fast_store: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eaglebench, "train", partial(eaglebench.train, *fast_store, *SHORT))
    for block in docs.blocks(page, "python"):
        if not block.startswith('"""'):  # a file of the page
            exec(compile(block, docs.name_of(page), "exec"), {})


def test_an_expert_and_a_fusion_of_the_users_own_are_two_files_each(tmp_path: Path) -> None:
    written = docs.write_files(EXTENDING, tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == [
        "mine/experts/stem.py",
        "mine/experts/stem.yaml",
        "mine/fusion/mean.py",
        "mine/fusion/mean.yaml",
    ]
    used = [line for line in docs.commands(EXTENDING) if "--config-dir mine" in line]
    assert any("stem" in line for line in used)
    assert any("fusion=mean" in line for line in used)


def variants(words: Sequence[str]) -> list[list[str]]:
    """The overrides of a command; of a multirun, one for each value of its longest list."""
    parsed = [parse_override(word) for word, is_override in split_arguments(prepare_arguments(words)) if is_override]
    lists = [
        list(one.sweep_string_iterator()) if one.is_sweep_override() else [one.get_value_string()] for one in parsed
    ]
    longest = max(lists, key=len, default=[])
    return [
        [
            f"{one.key_or_group}={values[index if values is longest else 0]}"
            for one, values in zip(parsed, lists, strict=True)
        ]
        for index in range(max(1, len(longest)))
    ]


def commands_that_are_not_run() -> list[str]:
    long = [line for line in first_page_of() if is_long(line) and not is_pytest(line)]
    shown = [one.command for page in PAGES for one in docs.sessions(page) if not one.output.startswith("error:")]
    inner = [line.removeprefix("for s in 0 1 2; do ").removesuffix("; done") for line in shown]
    return list(dict.fromkeys(line for line in [*long, *inner] if docs.arguments(line) is not None))


@pytest.mark.parametrize("line", commands_that_are_not_run())
def test_a_command_that_is_not_run_here_composes(line: str, examples_here: None) -> None:
    words = [word.replace("$s", "0") for word in docs.arguments(line) or ()]
    if "--help" in words:
        return
    for overrides in variants(words):
        compose_command(overrides, search_path=read_search_path(words), check=False)


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(one, id=one.command)
        for page in PAGES
        for one in docs.sessions(page)
        if one.output.startswith("error:") or "--help" in one.command
    ],
)
def test_help_and_errors_are_printed_as_the_page_has_them(
    session: docs.Session, examples_here: None, command: Callable[..., Outcome]
) -> None:
    outcome = command(*(docs.arguments(session.command) or ()))
    assert (outcome.out + outcome.err).rstrip("\n") == session.output
    assert outcome.code == (2 if session.output.startswith("error:") else 0)


@pytest.mark.parametrize("page", docs.LINKING, ids=docs.name_of)
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in docs.links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in docs.anchors(target), link


def test_the_index_has_every_page() -> None:
    index = docs.ROOT / "docs/README.md"
    linked = {(index.parent / link).resolve() for link in docs.links(index)}
    assert {page for page in PAGES if page not in (README, index)} <= linked


def test_every_choice_of_every_group_is_mentioned() -> None:
    code = {word for page in PAGES for span in docs.inline_code(page) for word in (span, span.rpartition("=")[2])}
    missing = [f"{group}={name}" for group in groups() for name in options(group) if name not in code]
    assert not missing


@cache
def every_field() -> frozenset[str]:
    """The dotted fields of all files in conf/."""
    paths = [CONF / "config.yaml", *(CONF / group / f"{name}.yaml" for group in groups() for name in options(group))]
    return frozenset(field for path in paths for field in fields_of(path))


def fields_of(path: Path, package: str | None = None) -> Iterator[str]:
    """The dotted fields that a file of conf/ sets; `package` is where another file takes it into."""
    is_global = "# @package _global_" in path.read_text() or path.parent == CONF
    own = "" if is_global else path.parent.name if package is None else package
    config = read_yaml(path)
    for entry in config.pop("defaults", ()):
        if isinstance(entry, str) and entry.startswith("/"):
            name, _, place = entry.partition("@")
            yield from fields_of(CONF / f"{name[1:]}.yaml", own if place in ("", "_here_") else place)
    yield from dotted(config, f"{own}." if own else "")


def dotted(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")


def is_known(key: str) -> bool:
    """Whether a field exists, whatever its placeholders stand for."""
    if key in groups() or key.startswith(("hydra.", *OPEN)):
        return True
    parts = ["[^.]+" if PLACEHOLDER.match(part) else re.escape(part) for part in key.split(".")]
    return any(re.fullmatch(r"\.".join(parts), field) for field in every_field())


@pytest.mark.parametrize("page", PAGES, ids=docs.name_of)
def test_fields_and_choices_within_the_prose_exist(page: Path) -> None:
    roots = {field.partition(".")[0] for field in every_field() if "." in field}
    for span in docs.inline_code(page):
        if "(" in span:  # Python
            continue
        try:
            words = shlex.split(span)
        except ValueError:  # a lone quotation mark
            words = [span]
        for word in words:
            key, separator, value = word.partition("=")
            is_override = separator and re.fullmatch(r"[a-z][\w.]*", key)
            if is_override or (re.fullmatch(r"[a-z][\w.]*\.\w+", word) and word.partition(".")[0] in roots):
                assert is_known(key), (span, key)
            if is_override and key in groups() and re.fullmatch(r"[a-z]\w*", value):
                assert value in (*options(key), "stem", "mean"), span
