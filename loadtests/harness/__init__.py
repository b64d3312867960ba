"""What drills and evidence share: processes on ports, and the load on them.

A *process* is an engine or a router that can be started, killed and asked. A *result* is how one request ended, as its
client saw it. A *store* is one kind of Redis, set up as an operator would. The package also has balancers, a name
server, a proxy that acts as a bad network, wrong clocks and a Prometheus.
"""
