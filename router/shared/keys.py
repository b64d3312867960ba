"""Every key in Redis, on one page. Nothing else in the code makes a key, but for the index's own scripts.

All keys of a deployment begin with its prefix in braces, which Redis Cluster reads as a hash tag: a deployment lives
on one shard. Values are hashes of blocks, counts, times and opaque ids; never text, token ids or addresses of clients.
Every key has a lifetime.

| key | type | lifetime | meaning |
|---|---|---|---|
| `{prefix}:check` | string | 30 days, renewed at each connection | proves that all routers use one index secret |
| `{prefix}:workers` | hash | 8 days, renewed at least daily | signed decisions of operators, by worker id |
| `{prefix}:response:HASH` | string | a day | which worker made a stored response; the key is a keyed hash of its id |
| `{prefix}:routers` | sorted set | 30 s, renewed with each part | which routers live, by the server's clock (ms) |
| `{prefix}:load:ROUTER` | string | 3 s, renewed at each change and each second | one router's part of the load |
| `{prefix}:c:DIGEST` | string | `redis_ttl_s`; 120 s behind a later turn | a place in a conversation: its blocks |
| `{prefix}:use:ROUTER` | string | 10 s, renewed at least each second | what limited clients took there, signed |
| `{prefix}:1:names` | hash | `redis_ttl_s` twice, renewed at each record | a holder's number, by its name |
| `{prefix}:1:live` | hash | as `names` | a living holder's horizon, last correction and name, by its number |
| `{prefix}:1:h:NUMBER` | hash | `redis_ttl_s`, renewed at each record | a holder's clock, capacity and ages |
| `{prefix}:1:s:HASH` | hash | `redis_ttl_s` + 600 s at most, renewed at each touch | a node: its blocks, who has them |

The last four are the prefix index, and made by its scripts (`router/prefix/lua`). Their number is the layout's: while a
fleet is updated, routers of two layouts share no prefixes, and read nothing that they do not understand. A holder is a
worker's opaque id and its engine's generation. In `names`, `#last` is the highest number ever given, and `#epoch`
changes when all was lost. HASH stands for all of a prompt up to a node's first block; the nearer a node is to its
chain's head, the longer it lives. The layout is told in `segments.lua` and `holder.lua`. DIGEST is a keyed hash of a
conversation's beginning and of all that changes what engines make of it (`router/recall.py`).
"""

from dataclasses import dataclass

INDEX_LAYOUT = 1
"""Counted up when the index's keys or values mean something else. The old ones go at the end of their lifetimes."""
RESPONSE_TTL_S = 24 * 3600
USE_TTL_S = 10
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
    def index(self) -> str:
        """What the index's keys begin with."""
        return f"{self.tag}{INDEX_LAYOUT}:"

    @property
    def names(self) -> str:
        """The holders' numbers, and the epoch."""
        return f"{self.index}names"

    @property
    def conversations(self) -> str:
        """What the keys of conversations begin with."""
        return f"{self.tag}c:"

    @property
    def routers(self) -> str:
        """The routers that live."""
        return f"{self.tag}routers"

    def load(self, router: bytes) -> str:
        """One router's part of the load."""
        return f"{self.tag}load:{router.decode()}"

    def use(self, router: bytes) -> str:
        """What clients took through one router."""
        return f"{self.tag}use:{router.decode()}"

    @property
    def workers(self) -> str:
        """What operators decided about workers."""
        return f"{self.tag}workers"

    def response(self, digest: str) -> str:
        """Which worker made a stored response."""
        return f"{self.tag}response:{digest}"
