"""The Grafana dashboard: what it shows, and how it becomes JSON.

A *row* has *panels*, a panel has *queries* in PromQL. `dashboards/warmroute.json` is made from them by `make docs`; the
drill `dashboard` (`python -m loadtests.drills dashboard`) runs every query against a real Prometheus.
"""
