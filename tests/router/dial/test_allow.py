"""Rules, URLs read strictly, and names that resolve somewhere else. All attempts, by every way in: `test_ssrf.py`."""

from ipaddress import ip_address

import pytest

from router.dial.allow import AllowList, BadUrlError, Implied, NotAllowedError, parse_worker_url, read_rule


def allow(*rules: str, listed: tuple[str, ...] = ()) -> AllowList:
    return AllowList([read_rule(rule) for rule in rules], listed)


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:8000"),
        ("10.0.0.0/8:8000", "http://10.1.2.3:8000"),
        ("10.0.0.0/8:8000-8010", "https://10.1.2.3:8010"),
        ("http://10.0.0.1:80", "http://10.0.0.1"),
        ("fd00::/8", "http://[fd00::1]:8000"),
        ("[fd00::/8]:8000", "http://[fd00:0::1]:8000"),
        ("10.0.0.1", "http://[::ffff:10.0.0.1]:1"),
        ("gpu.example.com:8000", "http://GPU.example.com:8000/"),
        ("*.example.com", "https://a.b.example.com/path"),
        ("127.0.0.0/8", "http://127.0.0.1:1"),
        ("my_worker", "http://my_worker:8000"),
    ],
)
def test_allowed(rule: str, url: str) -> None:
    assert allow(rule).check(url)


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        ("10.0.0.0/8:8000", "http://10.1.2.3:8001"),
        ("10.0.0.0/8:8000", "http://11.1.2.3:8000"),
        ("https://10.0.0.0/8", "http://10.1.2.3"),
        ("*.example.com", "http://example.com"),
        ("*.example.com", "http://evilexample.com"),
        ("example.com", "http://a.example.com"),
        ("example.com", "http://example.com.evil.net"),
        ("0.0.0.0/0", "http://127.0.0.1:8000"),
        ("::/0", "http://[::1]:8000"),
        ("::/0", "http://10.0.0.1:8000"),
    ],
)
def test_not_allowed(rule: str, url: str) -> None:
    with pytest.raises(NotAllowedError):
        allow(rule).check(url)


def test_listed_workers_need_no_rule_and_others_on_their_host_do() -> None:
    allowed = allow(listed=("http://127.0.0.1:8000", "http://W:9/x/"))
    assert allowed.check("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"
    assert allowed.check("http://W:9/x") == "http://W:9/x"
    with pytest.raises(NotAllowedError):
        allowed.check("http://127.0.0.1:8001")


def test_a_source_implies_private_addresses_on_its_own_port_only() -> None:
    implied = Implied("http", 8000)
    nothing = allow()
    for url in ("http://10.0.0.1:8000", "http://[fd00::1]:8000", "http://100.64.1.1:8000"):
        assert nothing.check(url, implied) == url
    for url in (
        "http://10.0.0.1:8001", "https://10.0.0.1:8000", "http://8.8.8.8:8000", "http://127.0.0.1:8000",
        "http://169.254.169.254:8000", "http://100.100.100.200:8000", "http://name:8000",
    ):  # fmt: skip
        with pytest.raises(NotAllowedError):
            nothing.check(url, implied)
    assert allow("8.8.8.8").check("http://8.8.8.8:8000", implied)
    with pytest.raises(NotAllowedError):  # rules are the whole truth where there are any
        allow("8.8.8.8").check("http://10.0.0.1:8000", implied)


@pytest.mark.parametrize(
    ("rules", "host", "address", "may"),
    [
        (("*.w.test:8000",), "a.w.test", "10.0.0.1", True),
        (("*.w.test:8000",), "a.w.test", "8.8.8.8", True),
        (("*.w.test:8000",), "A.W.test", "10.0.0.1", True),
        (("*.w.test:8000",), "a.w.test", "127.0.0.1", False),
        (("*.w.test:8000",), "a.w.test", "169.254.169.254", False),
        (("*.w.test:8000",), "a.w.test", "::ffff:169.254.169.254", False),
        (("*.w.test:8001",), "a.w.test", "10.0.0.1", False),
        (("*.w.test:8000", "10.0.0.0/8"), "a.w.test", "10.0.0.1", True),
        (("*.w.test:8000", "10.0.0.0/8"), "a.w.test", "11.0.0.1", False),
        (("*.w.test:8000", "127.0.0.1"), "a.w.test", "127.0.0.1", True),
        (("localhost:8000",), "localhost", "127.0.0.1", True),
        (("localhost:8000",), "localhost", "169.254.169.254", False),
        ((), "listed.test", "10.0.0.1", True),
        ((), "listed.test", "127.0.0.1", True),
        ((), "listed.test", "169.254.169.254", False),
        (("169.254.169.254",), "listed.test", "169.254.169.254", True),
    ],
)
def test_a_name_may_lead_to_allowed_addresses_alone(rules: tuple[str, ...], host: str, address: str, may: bool) -> None:
    allowed = allow(*rules, listed=("http://listed.test:8000",))
    assert allowed.allows_dial(host, 8000, ip_address(address)) is may


def test_equal_places_have_equal_urls() -> None:
    assert parse_worker_url("http://H.test:80/").url == "http://h.test"
    assert parse_worker_url("http://[FD00:0:0::1]:8000").url == "http://[fd00::1]:8000"
    assert parse_worker_url("https://h:443/a/").url == "https://h/a"


@pytest.mark.parametrize(
    "url", ["http://a/v1", "http://a/../b", "http://a/./b", "http://a//b", "http://a:0", "http://a:65536"]
)
def test_urls_that_are_refused_for_their_form(url: str) -> None:
    with pytest.raises(BadUrlError):
        parse_worker_url(url)


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "10.0.0.1/8", "10.0.0.0/33", "a b", "ftp://a", "a:0", "a:9-8", "a:70000", "http://", "u@a", "a/b",
     "2130706433", "0x7f.1", "-a", "a..b", "*.*.b", "[fd00::1", "[name]", "http://a/path"],
)  # fmt: skip
def test_rules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        read_rule(text)
