"""The Grafana dashboard: what it shows, how it becomes JSON, and the proof that none of it is empty.

A *row* has *panels*, a panel has *queries* in PromQL. `docker/grafana/dashboards/warmroute.json` is made from them by
`make docs`; `python -m loadtests.dashboard` runs every query against a real Prometheus that scrapes routers under load.
"""
