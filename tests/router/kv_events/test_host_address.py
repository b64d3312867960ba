"""A worker's events are listened to at an address that the allow-list grants, and nowhere else."""

from router.dial.allow import AllowList, read_rule
from router.dial.resolver import Resolver
from router.kv_events.host_address import AGAIN_S, HostAddresses

NAMED = "http://a.w.test:8000"


class Names:
    """A name server whose answer changes, behind the router's own resolver."""

    def __init__(self, *rules: str) -> None:
        self.now = 0.0
        self.answer = ["10.0.0.1"]
        self.asked: list[tuple[str, int]] = []
        self._resolver = Resolver(AllowList([read_rule(rule) for rule in rules]))
        self.hosts = HostAddresses(self.look_up, lambda: self.now)

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if not self.answer:
            raise OSError("no name server")
        return [found["host"] for found in self._resolver.allowed(host, port, self.answer)]

    async def of(self, url: str = NAMED) -> str:
        return (await self.hosts.of([url])).get(url, "")


async def test_a_name_that_turns_to_a_special_address_is_not_listened_to() -> None:
    for special in ("127.0.0.1", "169.254.169.254", "::1", "0.0.0.0"):
        names = Names("*.w.test:8000")
        names.answer = [special]
        assert await names.of() == ""
        names.answer = ["10.0.0.1"]
        names.now = AGAIN_S
        assert await names.of() == "10.0.0.1"
        names.answer = [special]
        names.now = 2 * AGAIN_S
        assert await names.of() != special


async def test_a_name_is_asked_again_after_a_while_and_a_good_address_is_kept() -> None:
    names = Names("*.w.test:8000")
    assert await names.of() == "10.0.0.1"
    names.answer = ["10.0.0.2", "10.0.0.1"]
    names.now = AGAIN_S - 1
    assert await names.of() == "10.0.0.1"
    assert names.asked == [("a.w.test", 8000)]
    names.now = AGAIN_S
    assert await names.of() == "10.0.0.1", "it is still one of them"
    names.answer = ["10.0.0.2"]
    names.now = 2 * AGAIN_S
    assert await names.of() == "10.0.0.2"


async def test_a_name_server_that_is_away_moves_nobody() -> None:
    names = Names("*.w.test:8000")
    await names.of()
    names.answer = []
    names.now = AGAIN_S
    assert await names.of() == "10.0.0.1"


async def test_addresses_are_what_they_are() -> None:
    hosts = HostAddresses(Resolver(AllowList([read_rule("10.0.0.0/8")])).addresses)
    urls = ["http://10.0.0.1:1", "https://[fd00::1]"]
    assert await hosts.of(urls) == {urls[0]: "10.0.0.1", urls[1]: "fd00::1"}
