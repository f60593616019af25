"""A stand-in for the servers of W&B on this machine: what `wandb sweep`, `wandb agent` and a run need of them, and no more."""

import gzip
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any

import yaml

ENTITY, PROJECT = "me", "eaglebench"
KEY = "local" + 35 * "0"
OF_A_PROJECT = {"id": "p", "name": PROJECT, "entity": {"id": "e", "name": ENTITY}}
Variables = Mapping[str, Any]


@dataclass
class Sweep:
    """A sweep that was created: its file, and the points that are yet to be given out."""

    text: str
    points: Iterator[dict[str, Any]]


@dataclass
class Run:
    """What the server was told of a run."""

    told: dict[str, Any] = field(default_factory=dict)  # of UpsertBucket
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


class Server:
    """The answers to W&B's GraphQL operations, by their names, and what came in.

    Attributes:
        sweeps, runs: by id.
        unknown: operations that it has no answer to.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sweeps: dict[str, Sweep] = {}
        self.agents: dict[str, Sweep] = {}
        self.runs: dict[str, Run] = {}
        self.unknown: set[str] = set()
        self.answers: dict[str, Callable[[Variables], dict[str, Any]]] = {
            "Viewer": self.viewer,
            "UpsertSweep": self.upsert_sweep,
            "SweepWithRuns": self.sweep_with_runs,
            "CreateAgent": self.create_agent,
            "Heartbeat": self.heartbeat,
            "RunResumeStatus": self.run_resume_status,
            "UpsertBucket": self.upsert_bucket,
        }

    def answer(self, query: str, variables: Variables) -> dict[str, Any]:
        """What a GraphQL request gets; an operation that is not known gets errors."""
        named = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = named[1] if named else "without a name"
        with self.lock:
            if name in self.answers:
                return {"data": self.answers[name](variables)}
            self.unknown.add(name)
            return {"data": None, "errors": [{"message": f"{name} is unknown here"}]}

    def viewer(self, variables: Variables) -> dict[str, Any]:
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        own = {"id": "u", "entity": ENTITY, "username": ENTITY, "name": ENTITY, "email": "me@localhost", "flags": "{}"}
        return {"viewer": {**own, "admin": False, "deletedAt": None, "teams": teams, "apiKeys": {"edges": []}}}

    def upsert_sweep(self, variables: Variables) -> dict[str, Any]:
        name, text = uuid.uuid4().hex[:8], variables["config"]
        self.sweeps[name] = Sweep(text, points(yaml.safe_load(text)["parameters"]))
        return {"upsertSweep": {"sweep": {"name": name, "project": OF_A_PROJECT}, "configValidationWarnings": []}}

    def sweep_with_runs(self, variables: Variables) -> dict[str, Any]:
        name = variables["sweep"]
        nothing = ("heartbeatAt", "updatedAt", "bestLoss", "controller", "scheduler")
        found = {
            **dict.fromkeys(nothing),
            "id": name,
            "name": name,
            "method": "grid",
            "state": "RUNNING",
            "description": "",
            "config": self.sweeps[name].text,
            "createdAt": "2026-01-01T00:00:00",
            "earlyStopJobRunning": False,
            "runs": {"edges": []},
        }
        return {"project": {"sweep": found}}

    def create_agent(self, variables: Variables) -> dict[str, Any]:
        name = uuid.uuid4().hex[:8]
        self.agents[name] = self.sweeps[variables["sweep"]]
        return {"createAgent": {"agent": {"id": name}}}

    def heartbeat(self, variables: Variables) -> dict[str, Any]:
        sweep = self.agents[variables["id"]]
        commands: list[dict[str, Any]] = []
        if not json.loads(variables["runState"] or "{}"):  # no run of it goes on
            point = next(sweep.points, None)
            run = {"type": "run", "run_id": uuid.uuid4().hex[:8], "program": yaml.safe_load(sweep.text)["program"]}
            commands = [{"type": "exit"} if point is None else {**run, "args": point}]
        return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}

    def run_resume_status(self, variables: Variables) -> dict[str, Any]:
        return {"model": {**OF_A_PROJECT, "bucket": None}}  # there is none to be resumed

    def upsert_bucket(self, variables: Variables) -> dict[str, Any]:
        name = variables["name"]
        new = name not in self.runs
        told = self.runs.setdefault(name, Run()).told
        told.update({key: value for key, value in variables.items() if value is not None})
        bucket = {
            "id": name,
            "name": name,
            "displayName": told.get("displayName", name),
            "description": "",
            "config": told.get("config", "{}"),
            "sweepName": told.get("sweep"),
            "historyLineCount": 0,
            "project": OF_A_PROJECT,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def take(self, name: str, stream: Mapping[str, Any]) -> None:
        """What a run sends while it goes on: lines of files."""
        with self.lock:
            run = self.runs.setdefault(name, Run())
            for file, sent in (stream.get("files") or {}).items():
                lines = (
                    [json.loads(line) for line in sent["content"]] if file.endswith((".jsonl", "summary.json")) else []
                )
                if file == "wandb-history.jsonl":
                    run.history += lines
                elif file == "wandb-summary.json":
                    run.summary = lines[-1]
            if stream.get("complete"):
                run.exit_code = stream["exitcode"]


def points(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The points of a grid, as an agent gets them."""
    values = [parameter.get("values", [parameter.get("value")]) for parameter in parameters.values()]
    for point in product(*values):
        yield {name: {"value": value} for name, value in zip(parameters, point, strict=True)}


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """The HTTP side of a server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None: ...

        def reply(self, value: Mapping[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                found = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(found) if self.headers.get("Content-Encoding") == "gzip" else found

        def do_GET(self) -> None:
            self.reply({})

        def do_PUT(self) -> None:
            self.body()
            self.reply({})

        def do_POST(self) -> None:
            body = self.body()
            if self.path.startswith("/graphql"):
                asked = json.loads(body)
                self.reply(server.answer(asked["query"], asked.get("variables") or {}))
            elif self.path.endswith("/file_stream"):
                server.take(self.path.split("/")[-2], json.loads(body))
                self.reply({"exitcode": None, "limits": {}})
            else:
                self.reply({})

    return Handler


@contextmanager
def standin() -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that runs, and the environment in which W&B's programs find it."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(server))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    environment = {
        "WANDB_BASE_URL": f"http://127.0.0.1:{http.server_address[1]}",
        "WANDB_API_KEY": KEY,
        "WANDB_ENTITY": ENTITY,
        "WANDB_PROJECT": PROJECT,
        "WANDB_ERROR_REPORTING": "false",  # or it waits for another server
    }
    try:
        yield server, environment
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
