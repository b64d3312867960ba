"""The command `warmroute-lab`: policies compared on recorded traffic, simulated or against a live server.

A *trace* is recorded traffic; `simulate` plays it under a virtual clock, `replay` sends it to a server in real time;
`claims` puts published results beside what the simulation finds. Knows the engine, and nothing else of this package.
"""
