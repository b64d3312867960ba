"""What drills and evidence share: processes on ports, and the load on them.

A *process* is an engine or a router that is started, killed and asked; a *result* is how one request ended, as its
client saw it; a *store* is one kind of Redis, set up as an operator would. Balancers, a name server, a proxy that makes
the network bad, clocks that are wrong and a Prometheus are here too.
"""
