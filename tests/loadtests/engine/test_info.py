"""What an engine says about itself."""

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.engine.metrics import SECONDS, Histogram
from tests.engines import EngineThread, quick_profile


def samples(client: httpx.Client) -> dict[str, float]:
    """Every sample by name, or by name and bucket; labels otherwise as they must be."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            bucket = sample.labels.get("le")
            found[sample.name + (f"{{{bucket}}}" if bucket else "")] = sample.value
    return found


def test_models_name_their_length_and_parent(client: httpx.Client) -> None:
    base, adapter = client.get("/v1/models").json()["data"]
    assert (base["id"], base["max_model_len"], base["parent"]) == ("m", 131_072, None)
    assert (adapter["id"], adapter["max_model_len"], adapter["parent"]) == ("adapter", None, "m")


def test_vllm_metrics_count_what_was_done(engine: EngineThread, client: httpx.Client) -> None:
    body = {"model": "m", "prompt": list(range(100)), "max_tokens": 5}
    before = time.time()
    for _ in range(2):
        client.post("/v1/completions", json=body)
    seen = samples(client)
    assert seen["vllm:num_requests_running"] == seen["vllm:num_requests_waiting"] == 0
    assert seen["vllm:prefix_cache_queries_total"] == seen["vllm:prompt_tokens_total"] == 200
    assert seen["vllm:prefix_cache_hits_total"] == 96
    assert seen["vllm:generation_tokens_total"] == 10
    assert seen["vllm:request_prefill_kv_computed_tokens_sum"] == 104
    assert seen["vllm:time_to_first_token_seconds_count"] == 2
    assert seen["vllm:request_prefill_time_seconds_sum"] >= 104 / 50_000
    assert (
        seen["vllm:request_decode_time_seconds_count"] == seen["vllm:request_time_per_output_token_seconds_count"] == 2
    )
    assert seen["vllm:inter_token_latency_seconds_count"] == 8
    assert seen["vllm:inter_token_latency_seconds_sum"] == pytest.approx(seen["vllm:request_decode_time_seconds_sum"])
    assert before - 60 < seen["process_start_time_seconds"] <= time.time()


def test_vllm_says_where_prompt_tokens_came_from() -> None:
    profile = quick_profile(kv_tokens=640, block_tokens=16, max_model_len=640, tier_tokens=6400)
    with EngineThread(model="m", profile=profile) as engine, httpx.Client(base_url=engine.url) as client:
        for start in (0, 10_000, 0, 0):  # the second one evicts the first, which comes back from the tier
            client.post(
                "/v1/completions", json={"model": "m", "prompt": list(range(start, start + 600)), "max_tokens": 1}
            )
        families = {
            family.name: family.samples for family in text_string_to_metric_families(client.get("/metrics").text)
        }
    of = {
        (name, sample.labels.get("source") or sample.labels.get("reason")): sample.value
        for name, samples_ in families.items()
        for sample in samples_
        if sample.name.removesuffix("_total") == name
    }
    sources = ("local_compute", "local_cache_hit", "external_kv_transfer")
    computed, local, loaded = (of["vllm:prompt_tokens_by_source", source] for source in sources)
    assert computed + local + loaded == of["vllm:prompt_tokens", None] == 2400
    assert local + loaded == of["vllm:prompt_tokens_cached", None] == 2 * 592
    assert loaded == of["vllm:external_prefix_cache_hits", None] > 0
    assert (of["vllm:prompt_tokens_cached_by_source", "device"], local) == (local, of["vllm:prefix_cache_hits", None])
    assert of["vllm:num_requests_waiting_by_reason", "capacity"] == 0


def test_vllm_says_its_cache_config() -> None:
    profile = quick_profile(kv_tokens=4096, block_tokens=32)
    with EngineThread(model="m", profile=profile) as engine, httpx.Client(base_url=engine.url) as client:
        families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
        labels = families["vllm:cache_config_info"].samples[0].labels
        assert (labels["block_size"], labels["num_gpu_blocks"]) == ("32", "128")
        assert families["vllm:num_requests_running"].samples[0].labels == {"model_name": "m", "engine": "0"}
        assert client.get("/v1/models").json()["data"][0]["max_model_len"] == 4096


def test_usage_counts_held_blocks_only(engine: EngineThread, client: httpx.Client) -> None:
    client.post("/v1/completions", json={"model": "m", "prompt": list(range(1000)), "max_tokens": 1})
    assert samples(client)["vllm:kv_cache_usage_perc"] == 0
    assert engine.state()["free_blocks"] == engine.state()["blocks"]


def test_sglang_metrics_have_their_own_names() -> None:
    with EngineThread(model="m", kind="sglang") as engine, httpx.Client(base_url=engine.url) as client:
        client.post("/v1/completions", json={"model": "m", "prompt": list(range(100)), "max_tokens": 2})
        seen = samples(client)
        assert seen["sglang:num_running_reqs"] == seen["sglang:num_queue_reqs"] == 0
        assert seen["sglang:max_total_num_tokens"] == 262_144
        assert seen["sglang:prompt_tokens_total"] == 100
        assert not any(name.startswith("vllm:") for name in seen)
        load = client.get("/v1/loads").json()["loads"][0]
        assert load["total_prefill_uncached_tokens"] == 100


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram(SECONDS)
    for value in (0.0005, 0.3, 1000.0):
        histogram.observe(value)
    buckets = dict(histogram.buckets())
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["80.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert histogram.sum == 1000.3005
