"""Every key in Redis, on one page. Nothing else in the code makes a key.

All keys of a deployment begin with its prefix in braces, which Redis Cluster reads as a hash tag: a deployment lives
on one shard. Values are hashes of blocks, counts, times and opaque ids; never text, token ids or addresses of clients.
Every key has a lifetime.

| key | type | lifetime | meaning |
|---|---|---|---|
| `{prefix}:check` | string | 30 days, renewed at each connection | proves that all routers use one index secret |
| `{prefix}:workers` | hash | 8 days, renewed at least daily | signed decisions of operators, by worker id |
| `{prefix}:routers` | sorted set | 30 s, renewed with each part | which routers live, by the server's clock (ms) |
| `{prefix}:load:ROUTER` | string | 3 s, renewed at each change and each second | one router's part of the load |
"""

from dataclasses import dataclass

CHECK_TTL_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one deployment."""

    prefix: str

    @property
    def tag(self) -> str:
        """What all keys begin with."""
        return f"{{{self.prefix}}}:"

    @property
    def check(self) -> str:
        """The first router's proof of its index secret."""
        return f"{self.tag}check"

    @property
    def routers(self) -> str:
        """The routers that live."""
        return f"{self.tag}routers"

    def load(self, router: bytes) -> str:
        """One router's part of the load."""
        return f"{self.tag}load:{router.decode()}"

    @property
    def workers(self) -> str:
        """What operators decided about workers."""
        return f"{self.tag}workers"
