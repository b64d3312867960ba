"""Builds a router from its settings, and runs it. Nothing outside this package reads settings, but the supervisor.

Nouns: `app` names all parts of one process; the *basics* are given to each `make_...` module, which builds what
belongs together and returns it as one value; `gauges` reads single values from their owners; `run` is a process's life;
`server` runs uvicorn around the gateway; `child` is one of several processes.
"""
