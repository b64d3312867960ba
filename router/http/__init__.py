"""HTTP towards clients and workers: protocol, limits, routes, relay, errors.

Nouns: an *exchange* is one client request and its answer; a *choice* is one attempt at one worker; the *gateway* is the
ASGI application in front, the *control plane* the one behind it.
"""
