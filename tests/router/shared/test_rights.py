"""The user of docs/security.md can do all that the router does, and nothing else."""

import re
from pathlib import Path

import pytest

from router.prefix.residency import Limits
from router.shared.check import SecretCheck
from router.shared.keys import Keys
from tests.router.prefix.conftest import Clock, chain_of, confirmed, corrected, dropped, held, make_shared, pending
from tests.router.shared.conftest import until
from tests.servers import RedisServer, binaries

PAGE = Path(__file__).parents[3] / "docs/security.md"
CHAIN = chain_of(range(100))


def rules() -> list[str]:
    """The user's rights as documented, with a password that is known here."""
    found = re.search(
        r"^user warmroute on #SHA256-OF-THE-PASSWORD (.*?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return ["on", ">password", *found[1].split()]


@pytest.mark.parametrize("flavour", binaries())
async def test_the_documented_user_suffices(flavour: str) -> None:
    with RedisServer(flavour) as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "warmroute", "reset", *rules())
        url = f"redis://warmroute:password@127.0.0.1:{server.port}"
        link, index = make_shared(url, "warmroute", Limits(), Clock())
        async with link, index:
            await until(lambda: link.connected)
            assert await SecretCheck(link, Keys("warmroute"), b"secret").run() is True
            index.set_capacity("w1", 1000)
            for record in (pending("w1", CHAIN), dropped("w1", CHAIN), confirmed("w1", CHAIN), confirmed("w2", CHAIN)):
                index.record(record)
            index.record(corrected("w1", CHAIN[:80], CHAIN))
            await index.flush()
            assert dict(await index.match(CHAIN)) == {"w1": held(10), "w2": held(100)}
            index.remove_worker("w2")
            await index.flush()
            assert dict(await index.match(CHAIN)) == {"w1": held(10)}
            assert not link.counters.calls.values.get(("denied",))
        other = f"redis://warmroute:password@127.0.0.1:{server.port}"
        link, index = make_shared(other, "elsewhere", Limits(), Clock())
        async with link, index:
            await until(lambda: link.connected)
            index.record(confirmed("w1", CHAIN))
            await until(lambda: bool(link.counters.calls.values.get(("denied",))))


@pytest.mark.parametrize("flavour", binaries())
def test_it_may_do_nothing_else(flavour: str) -> None:
    with RedisServer(flavour) as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "warmroute", "reset", *rules())
        for words in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["SHUTDOWN"], ["GET", "other"]):
            reply = client.execute_command("ACL", "DRYRUN", "warmroute", *words)
            assert reply != b"OK", words
