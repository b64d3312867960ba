"""Builds a router from its settings, and runs it. Nothing outside this package reads settings, but the supervisor.

Nouns: `app` wires all parts of one process; each `make_...` module builds one part; `gauges` reads single values from
their owners; `server` runs uvicorn around the gateway; `child` is one of several processes.
"""
