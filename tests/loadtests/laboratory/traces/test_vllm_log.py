"""What vLLM logs of each request becomes conversations, whatever clients have put into their texts."""

from pathlib import Path

import pytest

from loadtests.laboratory.traces import vllm_log
from loadtests.laboratory.traces.files import UnknownTraceError, read, recorded

IDS = list(range(1000, 1300))


def said(time: str, text: str, level: str = "DEBUG") -> str:
    return f"(APIServer pid=12) {level} 11-30 {time} [request_logger.py:56] {text}\n"


def asked(time: str, name: str, ids: list[int] | None, prompt: object = None) -> str:
    return said(
        time, f"Request {name} details: prompt: {prompt!r}, prompt_token_ids: {ids}, prompt_embeds shape: None."
    )


def answered(time: str, name: str, count: int) -> str:
    return said(time, f"Generated response {name} (streaming complete) details: output_token_ids: {[5] * count}")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines))
    return path


def test_prompts_are_known_by_their_ids_and_answers_by_theirs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "vllm.log",
        said("09:00:00", "vLLM API server version 0.31", "INFO"),
        "a line of something else\n",
        asked("09:00:01", "chatcmpl-a", IDS),
        said("09:00:01", "Received request chatcmpl-a: params: SamplingParams(n=1), lora_request: None.", "INFO"),
        asked("09:00:02", "chatcmpl-b", [7] * 64 + IDS),
        answered("09:00:04", "chatcmpl-a", 20),
        said(
            "09:00:04", "Generated response chatcmpl-a (streaming complete): output: 'hm', finish_reason: stop", "INFO"
        ),
        asked("09:00:10", "chatcmpl-c", [*IDS, *range(2000, 2200)]),
        answered("09:00:15", "chatcmpl-c", 30),
        answered("09:00:20", "chatcmpl-b", 40),
        answered("09:00:20", "never-seen", 40),
        asked("09:00:21", "cmpl-without-ids", None, "text"),
    )
    one, other = sorted(read(path), key=lambda script: -len(script.turns))
    assert [(turn.prompt_tokens, turn.answer_tokens, turn.keep) for turn in one.turns] == [(300, 20, 0), (500, 30, 4)]
    assert [(turn.think_s, turn.service_s) for turn in one.turns] == [(0.0, 3.0), (6.0, 5.0)]
    assert (one.starts_s, other.starts_s) == (0.0, 1.0)
    assert other.turns[0].answer_tokens == 40
    traffic = recorded([path])
    assert traffic is not None
    assert not traffic.answered


def test_without_answers_their_lengths_are_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "v.log", asked("09:00:01", "a", IDS), asked("09:01:01", "b", IDS + IDS))
    (script,) = read(path)
    assert [turn.answer_tokens for turn in script.turns] == [200, 200]
    assert script.turns[1].think_s == pytest.approx(60 - 200 / 30)


@pytest.mark.parametrize(
    "prompt",
    [
        "prompt_token_ids: [1, 2, 3], prompt_embeds shape: None.",
        "prompt_token_ids: [1, 2, 3",
        "\n(APIServer pid=1) DEBUG 11-30 09:00:00 [x.py:1] Request x details: prompt: '', prompt_token_ids: [1]",
        "Generated response a details: output_token_ids: [1]",
        "prompt_token_ids: " * 10_000,
        "[" * 100_000,
    ],
    ids=lambda prompt: prompt[:30],
)
def test_what_clients_write_is_not_read(tmp_path: Path, prompt: str) -> None:
    (script,) = read(write(tmp_path / "v.log", asked("09:00:01", "a", IDS, prompt), answered("09:00:02", "a", 9)))
    assert [(turn.prompt_tokens, turn.answer_tokens) for turn in script.turns] == [(300, 9)]


def test_ids_that_are_none_are_left_out(tmp_path: Path) -> None:
    broken = [
        asked("09:00:01", "a", IDS).replace("1000", number) for number in ("-1", str(1 << 40), "x", "1.5", "9" * 5000)
    ]
    (script,) = read(write(tmp_path / "v.log", *broken, asked("09:00:02", "good", IDS)))
    assert len(script.turns) == 1


def test_requests_that_are_never_answered_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_log, "MOST_PENDING", 3)
    path = write(tmp_path / "v.log", *(asked("09:00:01", f"r{n}", [n] * 70) for n in range(10)))
    assert len(read(path)) == 10


def test_a_year_may_end_meanwhile(tmp_path: Path) -> None:
    lines = [asked("23:59:59", "a", IDS).replace("11-30", "12-31"), asked("00:00:09", "b", [9] * 70)]
    path = write(tmp_path / "v.log", lines[0], lines[1].replace("11-30", "01-01"))
    assert [script.starts_s for script in read(path)] == [0.0, 10.0]


@pytest.mark.parametrize("line", [said("09:00:00", "nothing of requests"), said("29:61:00", "no time")])
def test_a_log_without_ids_says_what_it_needs(tmp_path: Path, line: str) -> None:
    with pytest.raises(UnknownTraceError, match=r"enable-log-requests|no time"):
        read(write(tmp_path / "v.log", line))
