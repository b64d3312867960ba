"""The sessions of `warmroute-lab replay` for locust: `locust -f loadtests/locustfile.py --traces FILE`.

A user is one session after the other: the next request comes after the answer and the recorded pause. Locust rounds the
times that it keeps; the exact ones are kept here, printed at the end, and shown in the web UI's tab "Exact times". What
must not be broken: users wait through gevent alone.
"""

import json
import logging
import os
import random
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gevent
import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError
from geventhttpclient.url import URL
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests.laboratory.replay import report
from loadtests.laboratory.replay.conversations import Ask, Conversation, endless, load
from loadtests.laboratory.replay.locust_exact import Exact, show
from loadtests.laboratory.replay.options import base_of
from loadtests.laboratory.replay.pace import Pace
from loadtests.laboratory.replay.player import body_of
from loadtests.laboratory.replay.record import NAN, Record, Usage
from loadtests.laboratory.replay.stream import Stream, decision_of
from loadtests.laboratory.replay.summary import Slo

TIMEOUT_S = 600.0
DETAIL_CHARS = 200
_CLOCK_S = time.time() - time.perf_counter()
log = logging.getLogger("loadtests.locust")


class Unanswered(Exception):
    """The failure that locust counts for a request that was not answered completely."""


class Sessions:
    """What the users of one process replay. Each worker process of a distributed run has copies of its own."""

    def __init__(self, options: Namespace, worker: int) -> None:
        found = load([Path(name) for name in options.traces.split(",")], options.sample)
        if worker > 0:
            found = [conversation.copy(1_000_000 * worker) for conversation in found]
        self._order = endless(found, random.Random(worker))
        self.pace = Pace(think_scale=options.think_scale, max_think_s=options.max_think_s, max_turns=options.max_turns)
        self.max_answer_tokens: int = options.max_answer_tokens
        self.model: str = options.model

    def next(self) -> Conversation:
        return next(self._order)


class AgentUser(User):
    """Replays sessions against the host, which is a base_url."""

    host = "http://127.0.0.1:8080/v1"
    sessions: ClassVar[Sessions]
    exact: ClassVar[Exact]

    def on_start(self) -> None:
        base = base_of(self.host or "")
        self._url = URL(f"{base}/chat/completions")
        key = os.environ.get("OPENAI_API_KEY")
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._http = HTTPClient.from_url(self._url, connection_timeout=30.0, network_timeout=TIMEOUT_S)
        if not self.sessions.model:
            self.sessions.model = self._first_model(URL(f"{base}/models"))

    def on_stop(self) -> None:
        self._http.close()

    @task
    def converse(self) -> None:
        """One session, to its end."""
        conversation, pace = self.sessions.next(), self.sessions.pace
        for turn, ask in enumerate(conversation.make()):
            if pace.max_turns and turn >= pace.max_turns:
                return
            if turn:
                gevent.sleep(pace.think_s(ask.think_s))
            self._tell(self._ask(conversation, turn, ask))

    def _ask(self, conversation: Conversation, turn: int, ask: Ask) -> Record:
        body = msgspec.json.encode(body_of(ask, self.sessions.model, self.sessions.max_answer_tokens, {}))
        stream, asked_s, first_s = Stream(), self._now(), NAN
        headers: Mapping[str, str] = {}
        try:
            response = self._http.post(self._url.request_uri, body=body, headers=self._headers)
            headers = {name.lower(): value for name, value in response.items()}
            while line := response.readline(b"\n"):
                if stream.feed(line):
                    first_s = self._now()
            status = response.status_code
            error, detail = stream.error() if status == 200 else (f"status {status}", stream.said())
        except ConnectionRefusedError as failure:
            error, detail = "no connection", str(failure)
        except (OSError, HTTPParseError) as failure:
            error, detail = "cut off" if stream.tail else "no answer", str(failure)
        times = (asked_s, first_s, self._now())
        usage = Usage() if error else stream.usage()
        return Record(conversation.name, turn, *times, error, detail[:DETAIL_CHARS], usage, decision_of(headers))

    def _tell(self, record: Record) -> None:
        """Locust, which rounds, and the exact ones."""
        self.exact.add(record)
        fire = self.environment.events.request.fire
        failure = Unanswered(f"{record.error}: {record.detail}") if record.error else None
        facts: dict[str, Any] = {"response_length": max(0, record.usage.answer_tokens), "context": {}}
        if not failure:
            fire(request_type="TTFT", name="first token", response_time=1000 * record.ttft_s, exception=None, **facts)
        fire(request_type="POST", name="chat", response_time=1000 * record.whole_s, exception=failure, **facts)

    def _now(self) -> float:
        """Of one clock in all processes, and never back."""
        return _CLOCK_S + time.perf_counter()

    def _first_model(self, url: URL) -> str:
        answer = json.loads(self._http.get(url.request_uri, headers=self._headers).read())
        return str(answer["data"][0]["id"])


@events.init_command_line_parser.add_listener
def options(parser: ArgumentParser) -> None:
    """What `warmroute-lab replay` is asked for as well."""
    add = parser.add_argument
    add("--traces", default=os.environ.get("TRACES", ""), help="recorded traffic (docs/laboratory.md), with commas")
    add("--model", default="", help="default: the first one of the host's /models")
    add("--sample", type=int, default=0, help="only the first N sessions of each trace")
    add("--think-scale", type=float, default=1.0, help="factor to recorded pauses")
    add("--max-think-s", type=float, default=60.0, help="longer pauses are cut to this")
    add("--max-turns", type=int, default=0, help="only the first N requests of each session")
    add("--max-answer-tokens", type=int, default=0, help="longer answers are cut to this")
    add("--skip-turns", type=int, default=0, help="leave the first N requests of each session out of the exact times")
    add("--slo-ttft-s", type=float, default=1.0, help="a good answer begins within this")


def _options_of(environment: Environment) -> Namespace:
    options: Namespace | None = environment.parsed_options
    assert options is not None
    return options


@events.init.add_listener
def initialised(environment: Environment, **_: Any) -> None:
    """The exact times are this process's, and the web UI's."""
    gevent.get_hub().loop.update_now()  # its clock stood still while modules were imported: -t would end at once
    given = _options_of(environment)
    AgentUser.exact = Exact(given.skip_turns, Slo(given.slo_ttft_s))
    if environment.web_ui:
        show(environment.web_ui, AgentUser.exact)


@events.test_start.add_listener
def started(environment: Environment, **_: Any) -> None:
    """Read the traces, where users run. Times begin anew."""
    AgentUser.exact.forget()
    if isinstance(environment.runner, MasterRunner):
        return
    worker = environment.runner.worker_index if isinstance(environment.runner, WorkerRunner) else 0
    try:
        AgentUser.sessions = Sessions(_options_of(environment), worker)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        if environment.runner is not None:
            environment.process_exit_code = 2
            environment.runner.quit()
    gevent.get_hub().loop.update_now()  # reading took time


@events.report_to_master.add_listener
def reported(data: dict[str, Any], **_: Any) -> None:
    """A worker process sends what is new."""
    data["records"] = AgentUser.exact.fresh()


@events.worker_report.add_listener
def gathered(data: dict[str, Any], **_: Any) -> None:
    """The master keeps it."""
    AgentUser.exact.take(data.get("records", []))


@events.quitting.add_listener
def ended(environment: Environment, **_: Any) -> None:
    """Print what was found."""
    found = AgentUser.exact.summary()
    if found and not isinstance(environment.runner, WorkerRunner):
        print(report.markdown(f"Exact times, {AgentUser.exact.said}", found, AgentUser.exact.slo, {}))
