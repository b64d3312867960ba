"""The command: an engine in a process of its own."""

import httpx
import pytest

from loadtests.engine.__main__ import main
from tests.engines import EngineProcess


def test_options_reach_the_engine() -> None:
    options = {"model": "given", "kv_tokens": 3200, "block_tokens": 32, "lora": "extra", "kind": "sglang"}
    with EngineProcess(**options, pair_role="prefill") as engine, httpx.Client(base_url=engine.url) as client:
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["given", "extra"]
        info = client.get("/server_info").json()
        assert (info["page_size"], info["max_total_num_tokens"]) == (32, 3200)
        assert info["disaggregation_mode"] == "prefill"


@pytest.mark.parametrize("arguments", [["--profile", "none"], ["--kind", "other"], ["--port", "x"]])
def test_bad_options_say_which(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert arguments[0] in capsys.readouterr().err
