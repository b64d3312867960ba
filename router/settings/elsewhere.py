"""What flags of other routers are called here: a flag that is typed out of habit is named in the error.

The names are those of sglang-router 0.3.2, smg 1.13.0, vllm-router 0.1.17 and of vLLM's production-stack router.
"""

from collections.abc import Mapping

NOTHING = "there is nothing to set here:"

FLAGS: Mapping[str, str] = {
    "worker_urls": "here it is --worker URL, once for each",
    "static_backends": "here it is --worker URL, once for each",
    "backends": "here it is --worker URL, once for each",
    "static_models": f"{NOTHING} workers say which models they serve",
    "model_path": "here it is --tokenizer; it is read from the workers where none is given",
    "tokenizer_path": "here it is --tokenizer",
    "chat_template": "here it is --model-chat-template MODEL=FILE",
    "routing_logic": "here it is --policy",
    "session_key": "here it is --session-header; sessions are known by their prompts without one",
    "cache_threshold": f"{NOTHING} the default policy prices cached and queued tokens in seconds",
    "balance_abs_threshold": f"{NOTHING} the default policy prices cached and queued tokens in seconds",
    "balance_rel_threshold": f"{NOTHING} the default policy prices cached and queued tokens in seconds",
    "overlap_decay": f"{NOTHING} the default policy prices cached and queued tokens in seconds",
    "max_tree_size": "here it is --index-max-blocks",
    "eviction_interval_secs": f"{NOTHING} the index follows each worker's KV memory",
    "cache_ttl_secs": f"{NOTHING} the index follows each worker's KV memory",
    "block_size": f"{NOTHING} it follows from the blocks that the workers report",
    "request_timeout_secs": "here it is --first-byte-timeout-s and --silence-timeout-s",
    "max_concurrent_requests": "here it is --max-requests-in-flight",
    "queue_size": f"{NOTHING} it is a quarter of --max-requests-in-flight",
    "queue_timeout_secs": "here it is --queue-timeout-s",
    "rate_limit_tokens_per_second": "here clients have limits of their own in --keys-file",
    "max_payload_size": "here it is --max-body-bytes",
    "max_buffered_request_bytes": "here it is --max-buffered-bytes",
    "retry_max_retries": "here it is --max-attempts, the first one included",
    "disable_retries": "here it is --max-attempts 1",
    "health_check_interval_secs": f"{NOTHING} workers are probed every few seconds",
    "health_check_timeout_secs": f"{NOTHING} a probe has 10 s, and three in a row must fail",
    "disable_circuit_breaker": f"{NOTHING} the breaker is always on",
    "prometheus_port": f"{NOTHING} /metrics is on the same port",
    "prometheus_host": f"{NOTHING} /metrics is on the same port",
    "otlp_traces_endpoint": "here it is --otlp-endpoint",
    "enable_trace": "here it is --otlp-endpoint URL",
    "control_plane_api_keys": "here it is --admin-api-key",
    "service_discovery": "here it is --worker-service NAMESPACE/SERVICE:PORT, or --worker-dns",
    "service_discovery_namespace": "here it is --worker-service NAMESPACE/SERVICE:PORT",
    "service_discovery_port": "here it is --worker-service NAMESPACE/SERVICE:PORT",
    "selector": "here it is --worker-service NAMESPACE/SERVICE:PORT: a Service selects the workers",
    "k8s_namespace": "here it is --worker-service NAMESPACE/SERVICE:PORT",
    "k8s_label_selector": "here it is --worker-service NAMESPACE/SERVICE:PORT: a Service selects the workers",
    "discovery_file": "here it is --worker-file",
    "redis_url": "here it is --redis",
    "enable_mesh": "here it is --redis URL with --index-secret",
    "mesh_peer_urls": "here it is --redis URL with --index-secret",
    "tls_cert_path": "here it is --tls-certificate",
    "tls_key_path": "here it is --tls-key",
    "ca_cert_paths": "here it is --worker-ca",
    "client_cert_path": "here it is --worker-tls-certificate",
    "client_key_path": "here it is --worker-tls-key",
    "shutdown_grace_period_secs": "here it is --drain-timeout-s",
    "enable_program_scheduling": "here it is on: see --session-wait-s",
    "log_json": "here the access log is JSON: --access-log",
    "dp_aware": "here it is on: each data-parallel rank of a server is a worker of its own",
    "prefill": "this version does not route to separate prefill and decode workers",
    "decode": "this version does not route to separate prefill and decode workers",
    "pd_disaggregation": "this version does not route to separate prefill and decode workers",
    "vllm_pd_disaggregation": "this version does not route to separate prefill and decode workers",
}
"""By name, with underscores."""

POLICIES: Mapping[str, str] = {
    "cache_aware": "expected_ttft",
    "kv_aware": "expected_ttft",
    "kvaware": "expected_ttft",
    "prefixaware": "expected_ttft",
    "roundrobin": "round_robin",
    "least_load": "least_loaded",
    "least_requests": "least_loaded",
    "power_of_two_choices": "power_of_two",
    "consistent_hashing": "consistent_hash",
    "prefix_hash": "consistent_hash",
    "manual": "consistent_hash",
    "session": "consistent_hash",
    "sticky_least_loaded": "consistent_hash",
}
"""The policy here that comes nearest to another router's."""


def flag_hint(name: str) -> str:
    """What this flag is called here; empty for one that no other router has."""
    return FLAGS.get(name.lstrip("-").replace("-", "_"), "")


def policy_hint(name: object) -> str:
    """The nearest policy; empty where none is known."""
    near = POLICIES.get(str(name).lower().replace("-", "_"))
    return f"; the nearest to {name} is {near}" if near else ""
