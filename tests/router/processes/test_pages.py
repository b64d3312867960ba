"""One page out of several: what is summed, what is not, and what an ended process leaves."""

from prometheus_client.parser import text_string_to_metric_families

from router.processes.pages import HIGHEST, LOWEST, merge
from tests.test_docs import documented_metrics

SUMMED = frozenset(
    {
        "warmroute_buffered_body_bytes",
        "warmroute_conversation_cache_bytes",
        "warmroute_encode_backlog",
        "warmroute_index_pending",
        "warmroute_index_queued",
        "warmroute_queue_depth",
        "warmroute_requests_in_flight",
        "warmroute_session_tokens",
        "warmroute_session_turns_waiting",
        "warmroute_sessions_inside",
        "warmroute_sessions_known",
        "warmroute_tokenizers_loading",
        "warmroute_worker_held_tokens",
        "warmroute_worker_in_flight",
        "warmroute_worker_queued_tokens",
    }
)
"""The other gauges: what all processes have is added up."""

PAGE = """\
# HELP warmroute_retries_total Attempts repeated.
# TYPE warmroute_retries_total counter
warmroute_retries_total{{cause="connect"}} {retries}.0
# HELP warmroute_ttft_seconds Time.
# TYPE warmroute_ttft_seconds histogram
warmroute_ttft_seconds_bucket{{le="0.5",model="a b"}} {retries}.0
warmroute_ttft_seconds_bucket{{le="+Inf",model="a b"}} {retries}.0
warmroute_ttft_seconds_count{{model="a b"}} {retries}.0
warmroute_ttft_seconds_sum{{model="a b"}} 0.25
# HELP warmroute_requests_in_flight Requests.
# TYPE warmroute_requests_in_flight gauge
warmroute_requests_in_flight 3.0
# HELP warmroute_worker_healthy Health.
# TYPE warmroute_worker_healthy gauge
warmroute_worker_healthy{{worker="w"}} {healthy}.0
# HELP warmroute_worker_restarts_total Restarts.
# TYPE warmroute_worker_restarts_total counter
warmroute_worker_restarts_total{{worker="w"}} {retries}.0
# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {retries}.5
# HELP python_info Python.
# TYPE python_info gauge
python_info{{version="3"}} 1.0
"""


def page(retries: int, healthy: int = 1) -> str:
    return PAGE.format(retries=retries, healthy=healthy)


def samples(text: str) -> dict[tuple[str, str], float]:
    """By name and all labels as one text."""
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_histograms_and_gauges() -> None:
    merged = samples(merge([(0, page(1, healthy=1)), (1, page(10, healthy=0))]))
    assert merged["warmroute_retries_total", "cause=connect"] == 11
    assert merged["warmroute_ttft_seconds_bucket", "le=0.5,model=a b"] == 11
    assert merged["warmroute_ttft_seconds_sum", "model=a b"] == 0.5
    assert merged["warmroute_requests_in_flight", ""] == 6
    assert merged["warmroute_worker_healthy", "worker=w"] == 0
    assert merged["warmroute_worker_restarts_total", "worker=w"] == 10
    assert merged["process_cpu_seconds_total", "process=0"] == 1.5
    assert merged["process_cpu_seconds_total", "process=1"] == 10.5
    assert merged["python_info", "process=1,version=3"] == 1


def test_an_ended_process_leaves_what_it_had_counted() -> None:
    merged = samples(merge([(0, page(1))], [page(5), ""]))
    assert merged["warmroute_retries_total", "cause=connect"] == 6
    assert merged["warmroute_ttft_seconds_count", "model=a b"] == 6
    assert merged["warmroute_requests_in_flight", ""] == 3
    assert [key for key in merged if key[0] == "process_cpu_seconds_total"] == [
        ("process_cpu_seconds_total", "process=0")
    ]


def test_ended_pages_fold_into_one() -> None:
    folded = merge((), [merge((), [page(1)]), page(2)])
    assert samples(folded)["warmroute_retries_total", "cause=connect"] == 3
    assert samples(folded)["warmroute_worker_restarts_total", "worker=w"] == 2
    assert ("warmroute_requests_in_flight", "") not in samples(folded)


def test_a_page_of_one_process_stays_as_it_is() -> None:
    assert samples(merge([(0, page(4))]))["warmroute_retries_total", "cause=connect"] == 4
    assert merge([]) == "\n"


def test_no_number_is_lost() -> None:
    text = "# HELP g G.\n# TYPE g gauge\ng +Inf\n"
    assert merge([(0, text), (1, text)]).endswith("g +Inf\n")
    assert samples(merge([(0, text.replace("+Inf", "1e+16"))])) == {("g", ""): 1e16}


def test_every_gauge_has_one_rule() -> None:
    gauges = {name for name, (kind, _) in documented_metrics().items() if kind == "gauge"}
    assert gauges <= HIGHEST | LOWEST | SUMMED
    assert not HIGHEST & LOWEST and not (HIGHEST | LOWEST) & SUMMED
