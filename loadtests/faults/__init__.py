"""Redis and routers break while requests run: nothing fails, nothing hangs.

Nouns: a *case* is one thing that breaks, and is mended, under load; the *proxy* stands between routers and Redis and
makes the network bad. `python -m loadtests.faults`.
"""
