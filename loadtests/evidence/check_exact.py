"""Whether every prompt of recorded sessions gets the ids that an uncached rendering and encode give.

Replays whole session files through one reader and incremental encoder per tokenizer, sessions interleaved, with a cache
small enough to evict, and compares the chain and the length of every K-th prompt with transformers' own
`apply_chat_template(tokenize=True)`. Hours of work for whole files: `--every` samples, `--state` resumes after the last
whole row, SIGTERM ends with a row of what was reached. A template that refuses a conversation (roles that do not
alternate, say) is given a plain form of it instead, and this is counted.
"""

import argparse
import io
import itertools
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.rules import NotExact, Rules, Served
from tokenizer_cache.sglang.inputs import SglangRules
from tokenizer_cache.templates.render import RENDER_ERRORS
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.vllm.inputs import VllmRules

FILES = ("claude_code_entirecli", "codex_agentv", "swe_agent", "tau_airline")
BLOCK_TOKENS = 4
"""Small, so that the chain speaks for all but the last three ids; their number is compared too."""
_SECRET = b"check"
Body = dict[str, Any]


class Subject(NamedTuple):
    """A tokenizer and template to check."""

    name: str
    path: str
    template: str | None
    engine: str = "vllm"
    """Whose rules turn a request into the template's input."""


class Result(NamedTuple):
    """What became of one prompt."""

    outcome: str
    """`equal`, `different`, `refused` (by the template), `skipped` (not in the sample)."""
    tokens: int = 0


class Uncached:
    """The truth: transformers alone, nothing remembered."""

    def __init__(self, subject: Subject) -> None:
        import transformers  # noqa: PLC0415  (seconds to import)

        folder = Path(subject.path)
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            str(folder if folder.is_dir() else folder.parent)
        )
        if subject.template is not None:
            self._tokenizer.chat_template = subject.template
        rules = SglangRules if subject.engine == "sglang" else VllmRules
        special_tokens = self._tokenizer.special_tokens_map
        self._rules: Rules = rules(self._tokenizer.chat_template, special_tokens, Served(engine=subject.engine))

    def ids(self, body: bytes) -> list[int] | None:
        """None where the template refuses the conversation."""
        try:
            call = self._rules.call("chat", json.loads(body))
            ids = self._tokenizer.apply_chat_template(
                call.messages,
                tools=call.tools,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                **call.kwargs,
            )
        except (NotExact, *RENDER_ERRORS):
            return None
        return list(ids)


class Check:
    """One subject's encoder beside the truth."""

    def __init__(self, subject: Subject, cache_bytes: int) -> None:
        tokenizer = load(subject.path, subject.template).served_by(Served(engine=subject.engine))
        self.encoder = PromptEncoder(subject.engine, tokenizer, BLOCK_TOKENS, _SECRET, Room(cache_bytes))
        self._reader = Reader(cache_bytes, KeyedHash(b"check"))
        self._uncached = Uncached(subject)
        self._engine = subject.engine
        self._chain = Chain(4 * BLOCK_TOKENS, _SECRET)

    def one(self, body: bytes, compare: bool) -> Result:
        """Put one request through the encoder, and compare it where asked to."""
        request = self._reader.parse("chat", body)
        known = self.encoder.recognise(request)
        retracted = self.encoder.counters.retracted
        prompt = self.encoder.encode(request)
        if not compare:
            return Result("skipped" if prompt.exact else "refused")
        ids = self._uncached.ids(body)
        if ids is None:
            return Result("different" if prompt.exact else "refused")
        root = self._chain.root(scope_key(self._engine, request.fields))
        expected, _ = self._chain.extend(root, b"", pack(ids))
        same = prompt.exact and prompt.tokens == len(ids) and prompt.chain == expected
        if self.encoder.counters.retracted == retracted:
            same = same and expected.startswith(known.chain[: 8 * known.known_blocks])
        return Result("equal" if same else "different", len(ids))


def main(argv: list[str] | None = None, ended: threading.Event | None = None) -> int:
    """Print a Markdown table, up to where `ended` is set; 1 when any prompt differs."""
    ended = ended or threading.Event()
    arguments = _arguments(argv)
    state: dict[str, Any] = json.loads(arguments.state.read_text()) if _exists(arguments.state) else {}
    print(
        f"every {arguments.every}th prompt compared, {arguments.at_once} sessions at once, {arguments.cache_mib} MiB\n"
    )
    print("| tokenizer | file | requests | compared | tokens compared | equal | different | plain form | evictions |")
    print("|---|---|---|---|---|---|---|---|---|")
    subjects = [_subject(arguments.data, named, arguments.engine) for named in arguments.tokenizer]
    for subject, file in itertools.product(subjects, arguments.files):
        key = f"{subject.engine}/{subject.name}/{file}/{arguments.every}/{arguments.sessions}"
        if key not in state:
            state[key] = _row(subject, file, arguments, ended)
            if arguments.state is not None and not ended.is_set():
                arguments.state.write_text(json.dumps(state))
        print(f"| {subject.name} | {file} | " + " | ".join(str(cell) for cell in state[key]) + " |", flush=True)
        if ended.is_set():
            break
    return int(any(row[4] for row in state.values()))


def _row(subject: Subject, file: str, arguments: argparse.Namespace, ended: threading.Event) -> list[int]:
    rng = random.Random(arguments.seed)
    check = Check(subject, arguments.cache_mib << 20)
    outcomes: Counter[str] = Counter()
    tokens = plain = requests = 0
    until = time.monotonic() + arguments.minutes * 60 if arguments.minutes else float("inf")
    sessions = itertools.islice(read_sessions(arguments.data / f"{file}.jsonl.zst"), arguments.sessions)
    for session, body in interleaved(sessions, arguments.at_once, rng):
        if ended.is_set() or time.monotonic() > until:
            break
        compare = requests % arguments.every == 0
        result = check.one(_encoded(body), compare)
        if result.outcome == "refused":
            plain += 1
            result = check.one(_encoded({"messages": flattened(body["messages"])}), compare)
        if result.outcome == "different":
            print(f"different: {subject.name} {file} session {session} request {requests}", file=sys.stderr)
        requests += 1
        outcomes[result.outcome] += 1
        tokens += result.tokens
    compared = outcomes["equal"] + outcomes["different"]
    return [requests, compared, tokens, outcomes["equal"], outcomes["different"] + outcomes["refused"], plain,
            check.encoder.conversations.room.evictions]  # fmt: skip


def interleaved(sessions: Iterable[Body], at_once: int, rng: random.Random) -> Iterator[tuple[str, Body]]:
    """Chat bodies of sessions that run side by side: each in order, which one is next by chance."""
    waiting, running = iter(sessions), list[tuple[str, Iterator[Body]]]()
    while True:
        running += [(session["id"], bodies(session)) for session in itertools.islice(waiting, at_once - len(running))]
        if not running:
            return
        place = rng.randrange(len(running))
        body = next(running[place][1], None)
        if body is None:
            del running[place]
        else:
            yield running[place][0], body


def bodies(session: Body) -> Iterator[Body]:
    """The chat bodies of one recorded session, in order."""
    tools = {"tools": session["tools"]} if session.get("tools") else {}
    for request in session["requests"]:
        messages = [message for start, end in request["spans"] for message in session["messages"][start:end]]
        if messages:
            yield {"messages": messages, **tools}


def flattened(messages: list[Body]) -> list[Body]:
    """The conversation as plain text of alternating roles, for templates that know nothing else."""
    turns: list[Body] = []
    for message in messages:
        role = {"assistant": "assistant", "system": "system"}.get(message["role"], "user")
        calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls") or ()]
        content = message.get("content") or ""
        texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        text = "\n".join([*texts, *calls])
        if role == "system" and turns:
            role = "user"
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": "go on"})
        if turns and turns[-1]["role"] == role:
            turns[-1] = {"role": role, "content": turns[-1]["content"] + "\n\n" + text}
        else:
            turns.append({"role": role, "content": text})
    return turns


def read_sessions(path: Path) -> Iterator[Body]:
    """The sessions of a file of JSON lines, compressed."""
    import zstandard  # noqa: PLC0415  (of the loadtest extra)

    with path.open("rb") as packed:
        yield from map(json.loads, io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), "utf-8"))


def _encoded(body: Body) -> bytes:
    return json.dumps({"model": "m", **body}, ensure_ascii=False).encode()


def _subject(data: Path, named: str, engine: str) -> Subject:
    name, _, path = named.partition("=")
    template = data / "templates" / f"{name}.jinja"
    return Subject(name, path, template.read_text() if template.exists() else None, engine)


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.check_exact", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of *.jsonl.zst and templates/NAME.jinja")
    parser.add_argument("--tokenizer", action="append", required=True, metavar="NAME=PATH", help="may be repeated")
    parser.add_argument("--engine", choices=("vllm", "sglang"), default="vllm", help="whose rules are followed")
    parser.add_argument("--files", nargs="+", default=FILES)
    parser.add_argument("--every", type=int, default=1, help="compare every K-th prompt; all are encoded")
    parser.add_argument("--sessions", type=int, default=None, help="at most this many of each file")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--cache-mib", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0, help="stop each row after this long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, default=None, help="rows that are done; read and written")
    return parser.parse_args(argv)


if __name__ == "__main__":
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    sys.exit(main(ended=terminated))
