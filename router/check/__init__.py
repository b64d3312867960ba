"""`warmroute check`: looks at everything that a router needs before it is started, and says in one line each what is
amiss and what to do.

Nouns: a *finding* is one line: `ok`, `warning` (it works, but worse than it could) or `error` (it does not work).
"""
