"""Every key in Redis, on one page. Only this module and the index's scripts make keys.

All keys of a deployment begin with its prefix in braces, which Redis Cluster reads as a hash tag: a deployment lives
on one shard. Behind it is the layout's number: while a fleet is updated, routers of two layouts share nothing, and read
nothing that they do not understand. Values are hashes of blocks, counts, times, names of models and opaque ids; never
text, token ids or addresses of clients. Every key has a lifetime.

Another program may have written any of these values. `workers`, `response`, `load`, `c`, `sessions` and `use` are
signed with a key made of the index secret, each for its own place (`seal`); `load`, `sessions` and `use` are also
numbered and dated (`publishing`).
The index holds hints and is not signed. A value of another type than this page says, or one that is too large to be
read, is deleted when it is met: by the router (`Link.mend`), or by the script itself (`guard.lua`).

| key | type | lifetime | meaning |
|---|---|---|---|
| `{prefix}:2:check` | string | 30 days, renewed at each connection | proves that all routers use one index secret |
| `{prefix}:2:workers` | hash | 8 days, renewed at least daily | decisions of operators, by worker id |
| `{prefix}:2:response:HASH` | string | a day | which worker made a stored response; HASH is a keyed one of its id |
| `{prefix}:2:routers` | sorted set | 30 s, renewed with each part | which routers live, by the server's clock (ms) |
| `{prefix}:2:load:ROUTER` | string | 3 s, renewed at each change and each second | one router's part of the load |
| `{prefix}:2:c:DIGEST` | string | `redis_ttl_s`; 120 s behind a later turn | a place in a conversation: its blocks |
| `{prefix}:2:sessions` | stream | 60 s, renewed at each entry | what routers told each other of sessions lately |
| `{prefix}:2:use:ROUTER` | string | 10 s, renewed at least each second | what limited clients took there |
| `{prefix}:2:events:WORKER` | string | 4 s, renewed each second | which router listens to this worker's KV events |
| `{prefix}:2:names` | hash | `redis_ttl_s` twice, renewed at each record | a holder's number, by its name |
| `{prefix}:2:live` | hash | as `names` | a living holder's horizon, last correction and name, by its number |
| `{prefix}:2:h:NUMBER` | hash | `redis_ttl_s`, renewed at each record | a holder's clock, capacity and ages |
| `{prefix}:2:s:HASH` | hash | `redis_ttl_s` + 600 s at most, renewed at each touch | a node: its blocks and holders |

The last four are the prefix index; its scripts make them (`router/prefix/lua`). A holder is a worker's opaque id and
its engine's generation. In `names`, `#last` is the highest number ever given, and `#epoch` changes when all was lost.
HASH stands for all of a prompt up to a node's first block; the nearer a node is to its chain's head, the longer it
lives. `segments.lua` and `holder.lua` describe the layout. DIGEST is a keyed hash of a conversation's beginning and of
everything that changes its rendering (`router/prompts/recall.py`).
"""

from dataclasses import dataclass

LAYOUT = 2
"""Raise it when a key or value changes its meaning. Old keys go at the end of their lifetimes."""
RESPONSE_TTL_S = 24 * 3600
USE_TTL_S = 10
CHECK_TTL_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one deployment."""

    prefix: str

    @property
    def tag(self) -> str:
        """The beginning of all keys."""
        return f"{{{self.prefix}}}:{LAYOUT}:"

    @property
    def check(self) -> str:
        """The first router's proof of its index secret."""
        return f"{self.tag}check"

    @property
    def names(self) -> str:
        """The holders' numbers, and the epoch."""
        return f"{self.tag}names"

    @property
    def conversations(self) -> str:
        """The beginning of the keys of conversations."""
        return f"{self.tag}c:"

    @property
    def routers(self) -> str:
        """The live routers."""
        return f"{self.tag}routers"

    @property
    def loads(self) -> str:
        """The beginning of the keys of the routers' parts of the load."""
        return f"{self.tag}load:"

    @property
    def uses(self) -> str:
        """The beginning of the keys of what clients used, one key per router."""
        return f"{self.tag}use:"

    @property
    def events(self) -> str:
        """The beginning of the keys of leases on workers' events, one key per worker."""
        return f"{self.tag}events:"

    @property
    def sessions(self) -> str:
        """What routers told each other of sessions."""
        return f"{self.tag}sessions"

    def load(self, router: str) -> str:
        """One router's part of the load."""
        return self.loads + router

    def use(self, router: str) -> str:
        """What clients used through one router."""
        return self.uses + router

    @property
    def workers(self) -> str:
        """What operators decided about workers."""
        return f"{self.tag}workers"

    def response(self, digest: str) -> str:
        """Which worker made a stored response."""
        return f"{self.tag}response:{digest}"
