"""Certificates and keys as files that change under a context in use. Whole connections: `http/test_tls`."""

import logging
import os
import ssl
from pathlib import Path

import pytest
import trustme

from router.dial.certificates import Authorities, KeyPair, Renewal, ask_clients, worker_tls

NONE = KeyPair("", "")


def issue(folder: Path, name: str = "a.test") -> KeyPair:
    """A new pair in this folder, and its authority beside it."""
    ca = trustme.CA()
    issued = ca.issue_cert(name)
    pair = KeyPair(str(folder / "cert.pem"), str(folder / "key.pem"))
    for path, data in ((pair.certificate, issued.cert_chain_pems[0]), (pair.key, issued.private_key_pem)):
        new = Path(path + ".new")
        new.write_bytes(data.bytes())
        new.replace(path)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    return pair


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return issue(tmp_path)


@pytest.fixture
def context(pair: KeyPair) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair.load_into(made)
    return made


def test_a_replaced_pair_is_loaded_once(tmp_path: Path, pair: KeyPair, context: ssl.SSLContext) -> None:
    renewal = Renewal()
    renewal.watch(context, pair)
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (0, 0)
    issue(tmp_path)
    renewal.look()
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (1, 0)


def test_half_a_pair_is_not_taken_and_the_whole_one_is_when_it_is_there(
    tmp_path: Path, pair: KeyPair, context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    renewal = Renewal()
    renewal.watch(context, pair)
    key = Path(pair.key).read_bytes()
    issue(tmp_path)
    new = Path(pair.key).read_bytes()
    Path(pair.key).write_bytes(key)
    renewal.look()
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (0, 1), "one failure is told once"
    Path(pair.key).write_bytes(new + b"\n")
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (1, 1)
    assert [record.message.partition(" is ")[0] for record in caplog.records] == [
        f"the new certificate {pair.certificate}",
        f"certificate {pair.certificate} renewed",
    ]


def test_a_missing_file_is_a_failure_and_another_s_files_are_looked_at(
    tmp_path: Path, pair: KeyPair, context: ssl.SSLContext
) -> None:
    renewal = Renewal()
    renewal.watch(context, pair)
    authorities = Authorities(str(tmp_path / "ca.pem"))
    renewal.watch(context, authorities)
    Path(pair.key).unlink()
    os.utime(authorities.path, ns=(1, 1))
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (1, 1)


def test_what_is_not_there_is_not_watched(context: ssl.SSLContext, pair: KeyPair) -> None:
    renewal = Renewal()
    renewal.watch(context, NONE)
    renewal.watch(None, pair)
    Path(pair.key).unlink()
    renewal.look()
    assert (renewal.renewed, renewal.failed) == (0, 0)


def test_a_worker_s_certificate_holds_its_host_or_the_one_name(tmp_path: Path, pair: KeyPair) -> None:
    assert worker_tls("", NONE, "").server_name("host") == "host"
    tls = worker_tls(str(tmp_path / "ca.pem"), pair, "name")
    assert tls.server_name("host") == "name"
    assert tls.context.verify_mode == ssl.CERT_REQUIRED
    assert len(tls.context.get_ca_certs()) == 1, "no other authority is trusted"
    with pytest.raises(OSError):
        worker_tls(str(tmp_path / "nothing.pem"), NONE, "")


@pytest.mark.parametrize(("required", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_OPTIONAL)])
def test_clients_are_asked(tmp_path: Path, context: ssl.SSLContext, required: bool, mode: ssl.VerifyMode) -> None:
    ask_clients(context, str(tmp_path / "ca.pem"), required)
    assert context.verify_mode == mode
