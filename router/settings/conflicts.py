"""What is wrong between settings that are right one by one."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from router.clients.key_hash import key_digest
from router.clients.keys_file import KeysFileError, read_keys_file
from router.settings.fields import Settings


def conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each as (field, what it must be)."""
    if settings.redis and settings.index_secret is None:
        yield "redis", "needs index_secret. It must be the same on every router, or they share nothing"
    found = settings.worker_dns or settings.worker_services
    if not settings.workers and not found and not settings.worker_file and settings.admin_api_key is None:
        yield "workers", "name at least one, or a place to find them, or set admin_api_key to add them later"
    elif not settings.workers and not found and not settings.worker_allow:
        yield "worker_allow", "must say where workers may be that the admin API or worker_file adds"
    if len(set(settings.workers)) < len(settings.workers):
        yield "workers", "must not name a worker twice"
    yield from _tls_conflicts(settings)
    if settings.otlp_endpoint and importlib.util.find_spec("opentelemetry.sdk") is None:
        yield "otlp_endpoint", "needs the extra otel: pip install 'warmroute[otel]'"
    if settings.max_body_bytes > settings.max_buffered_bytes:
        yield "max_body_bytes", "must not be more than max_buffered_bytes, which bounds all bodies together"
    if settings.admin_api_key in settings.api_keys:
        yield "admin_api_key", "must not be one of the clients' keys"
    if settings.keys_file:
        yield from _keys_file_conflicts(settings)


def _tls_conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    for certificate in ("tls_certificate", "worker_tls_certificate"):
        key = certificate.replace("certificate", "key")
        given = bool(getattr(settings, certificate)), bool(getattr(settings, key))
        if given[0] != given[1]:
            yield key if given[1] else certificate, f"{certificate} and {key} must be given together"
    if settings.tls_client_ca and not settings.tls_certificate:
        yield "tls_client_ca", "needs tls_certificate. Over plain HTTP no client shows a certificate"


def _keys_file_conflicts(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        found = read_keys_file(Path(settings.keys_file))
    except KeysFileError as error:
        yield "keys_file", f"{settings.keys_file}: {error}"
        return
    digests = {digest for spec in found.key for digest in spec.digests}
    for field, keys in (("admin_api_key", [settings.admin_api_key]), ("api_keys", settings.api_keys)):
        for key in keys:
            if key is not None and key_digest(found.salt_bytes, key.value.encode()) in digests:
                yield field, "must not be one of the keys of keys_file"
