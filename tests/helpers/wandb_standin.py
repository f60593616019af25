"""A local stand-in for W&B's servers, with no more than `wandb sweep`, `wandb agent` and a run need."""

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
PROJECT_NODE = {"id": "p", "name": PROJECT, "entity": {"id": "e", "name": ENTITY}}
Variables = Mapping[str, Any]


@dataclass
class Sweep:
    """A sweep that was created: its file, and the points that no agent has yet."""

    text: str
    points: Iterator[dict[str, Any]]


@dataclass
class ReceivedRun:
    """What the server received of a run."""

    fields: dict[str, Any] = field(default_factory=dict)  # of UpsertBucket
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


class Server:
    """Answers W&B's GraphQL operations by their names, and keeps what it receives.

    Attributes:
        sweeps: by id.
        runs: by id.
        unknown: names of operations that it cannot answer.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sweeps: dict[str, Sweep] = {}
        self.agents: dict[str, Sweep] = {}
        self.runs: dict[str, ReceivedRun] = {}
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
        """The response to a GraphQL request; an unknown operation gets errors."""
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
        self.sweeps[name] = Sweep(text, list_points(yaml.safe_load(text)["parameters"]))
        return {"upsertSweep": {"sweep": {"name": name, "project": PROJECT_NODE}, "configValidationWarnings": []}}

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
        if not json.loads(variables["runState"] or "{}"):  # it has no running run
            point = next(sweep.points, None)
            run = {"type": "run", "run_id": uuid.uuid4().hex[:8], "program": yaml.safe_load(sweep.text)["program"]}
            commands = [{"type": "exit"} if point is None else {**run, "args": point}]
        return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}

    def run_resume_status(self, variables: Variables) -> dict[str, Any]:
        return {"model": {**PROJECT_NODE, "bucket": None}}  # no run is resumed

    def upsert_bucket(self, variables: Variables) -> dict[str, Any]:
        name = variables["name"]
        new = name not in self.runs
        fields = self.runs.setdefault(name, ReceivedRun()).fields
        fields.update({key: value for key, value in variables.items() if value is not None})
        bucket = {
            "id": name,
            "name": name,
            "displayName": fields.get("displayName", name),
            "description": "",
            "config": fields.get("config", "{}"),
            "sweepName": fields.get("sweep"),
            "historyLineCount": 0,
            "project": PROJECT_NODE,
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def receive(self, name: str, stream: Mapping[str, Any]) -> None:
        """Keep the lines of files that a run sends while it is running."""
        with self.lock:
            run = self.runs.setdefault(name, ReceivedRun())
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


def list_points(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the points of a grid as an agent gets them."""
    values = [parameter.get("values", [parameter.get("value")]) for parameter in parameters.values()]
    for point in product(*values):
        yield {name: {"value": value} for name, value in zip(parameters, point, strict=True)}


def make_handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """The HTTP handler of a server."""

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
                server.receive(self.path.split("/")[-2], json.loads(body))
                self.reply({"exitcode": None, "limits": {}})
            else:
                self.reply({})

    return Handler


@contextmanager
def run_standin() -> Iterator[tuple[Server, dict[str, str]]]:
    """A running server, and the environment variables with which W&B's programs find it."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(server))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    environment = {
        "WANDB_BASE_URL": f"http://127.0.0.1:{http.server_address[1]}",
        "WANDB_API_KEY": KEY,
        "WANDB_ENTITY": ENTITY,
        "WANDB_PROJECT": PROJECT,
        "WANDB_ERROR_REPORTING": "false",  # otherwise W&B waits for another server
    }
    try:
        yield server, environment
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
