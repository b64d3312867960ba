"""Things break, come, go and overload while requests run: nothing may be lost.

A *drill* is one such course of events under load; a *table* is what it measured. `python -m loadtests.drills --help`.
"""
