"""Tests the router under load, without a GPU.

`engine` is an emulated vLLM or SGLang worker. `laboratory` is the command `warmroute-lab`: recorded traffic, simulated
or replayed. `harness` starts routers, workers and Redis as processes and sends them load. `drills` break things under
load. `evidence` measures what the documentation claims. The router never imports any of it.
"""
