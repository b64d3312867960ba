"""The shared registry: what operators decided about workers through one router's admin API, known to all routers.

Nouns: an *entry* is one such decision, signed; a worker's *standing* is what it says (present, draining, removed); the
*book* is what this router believes. Redis only carries entries: each router checks every one, keeps its own book
whatever happens to Redis, and writes it back when it is lost.
"""
