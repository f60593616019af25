"""A hub that does not answer: it is asked once, and then a user is told what to do, in seconds."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import open_clip
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from eaglebench.config.compose import PACKAGE
from eaglebench.experts.hf import Hf
from eaglebench.experts.open_clip import OpenClip
from eaglebench.experts.timm import PRETRAINED, Timm
from eaglebench.language.pretrained import build_from_architecture, load_pretrained
from eaglebench.utils.errors import UserError
from eaglebench.weights import hub as hub_module
from eaglebench.weights.hub import prepare_hub
from eaglebench.weights.sources import read_checkpoint, read_config
from tests.helpers.upstream.base import OPEN_CLIP_TEXT_TOWER

TEMPLATE: dict[str, Any] = {"template": "chatml", "max_length": 64}
# What asks the hub, by what a user wrote.
ASKS: dict[str, Callable[[], object]] = {
    "experts.clip.checkpoint=lab/vision": lambda: read_checkpoint("lab/vision", "experts.clip"),
    "experts.clip.checkpoint=lab/vision/a.pth": lambda: read_checkpoint("lab/vision/a.pth", "experts.clip"),
    "experts.hf.backbone=lab/vision": lambda: Hf("lab/vision"),
    "experts.timm.checkpoint=pretrained": lambda: Timm("convnext_atto").load_checkpoint(PRETRAINED, "experts.timm"),
    "experts.open_clip.tag=some": lambda: OpenClip("small-net").load_checkpoint("some", "experts.open_clip"),
    "llm.model=lab/llm": lambda: load_pretrained("lab/llm", **TEMPLATE),
}
WHAT_TO_DO = "Without a network, give a local file or folder, or fill the cache elsewhere and set HF_HUB_OFFLINE=1"


class Broken(BaseHTTPRequestHandler):
    """A proxy that reaches nothing."""

    def do_HEAD(self) -> None:
        self.send_error(503)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture(params=["refuses", "hangs", "fails"])
def silent_hub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub that does not answer, and a list that counts the questions that it is asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if request.param == "hangs":

            def accept() -> None:
                open_connections = []
                while True:
                    try:
                        open_connections.append(listening.accept())
                    except OSError:
                        return
                    asked.append("a question")

            threading.Thread(target=accept, daemon=True).start()
        else:
            listening.close()
        server = None
        if request.param == "fails":
            server = ThreadingHTTPServer(("127.0.0.1", port), Broken)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub_module, "PROBE_SECONDS", 0.3)
        prepare_hub.cache_clear()
        close_session()
        yield f"http://127.0.0.1:{port}", asked
        prepare_hub.cache_clear()
        close_session()
        if server is not None:
            server.shutdown()
            server.server_close()


@pytest.fixture
def small_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of open_clip with weights on the hub."""
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
    config = tmp_path / "small-net.json"
    config.write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": OPEN_CLIP_TEXT_TOWER}))
    open_clip.add_model_config(config)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "small-net", {"some": {"hf_hub": "lab/vision/"}})


@pytest.mark.usefixtures("small_tower")
@pytest.mark.parametrize("ask", ASKS)
def test_the_hub_is_asked_once_and_the_way_out_is_said(ask: str, silent_hub: tuple[str, list[str]]) -> None:
    address, asked = silent_hub
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(UserError, match=f"{address} does not answer: .*; and it is not in the .*{WHAT_TO_DO}"):
            ASKS[ask]()
    assert time.monotonic() - started < 20, "hub libraries retry for minutes"
    assert len(asked) <= 1


def test_a_plan_of_a_model_with_an_architecture_asks_nothing(silent_hub: tuple[str, list[str]]) -> None:
    sizes = {"model_type": "llama", "vocab_size": 600, "hidden_size": 16, "intermediate_size": 16}
    build_from_architecture("lab/llm", **TEMPLATE, architecture={**sizes, "num_attention_heads": 2})
    assert silent_hub[1] == []


def test_what_was_downloaded_before_is_read_without_a_network(silent_hub: tuple[str, list[str]]) -> None:
    snapshot = Path(constants.HF_HUB_CACHE) / "models--lab--vision" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text(json.dumps({"hidden_act": "gelu"}))
    assert read_config("lab/vision", "config.json") == {"hidden_act": "gelu"}


def test_a_cache_alone_says_that_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_hub.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=f"HF_HUB_OFFLINE is set; and it is not in the download cache .*{WHAT_TO_DO}"):
        read_checkpoint("lab/vision", "experts.clip")
    prepare_hub.cache_clear()


@pytest.mark.slow
def test_a_command_without_a_network_ends_in_seconds(tmp_path: Path) -> None:
    """With a hub that hangs, the whole command takes little more than its start."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "0",
            "PYTHONPATH": str(PACKAGE.parent),  # the code beside this test, from another folder
        }
        command = ["fast=true", "experts=[clip]", "store=none", "pretrained.clip=openai/clip-vit-large-patch14-336"]
        done = subprocess.run(
            [sys.executable, "-m", "eaglebench", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert WHAT_TO_DO in done.stderr + done.stdout
    assert "retry" not in (done.stderr + done.stdout).lower()
