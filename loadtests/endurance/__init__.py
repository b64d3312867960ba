"""Nothing lost: the router under long streams, dying workers, bad workers and bursts.

Nouns: a *drill* is one of those situations, with emulated engines and a router in processes of their own; a *result* is
how one request ended, as its client saw it; a *table* is what a drill measured. `python -m loadtests.endurance all`.
"""
