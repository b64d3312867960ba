"""`python -m loadtests.dashboard [check|write]`.

check   start emulated workers, two routers, load and Prometheus; run every query; exit 1 if one is empty
write   make docker/grafana/dashboards/warmroute.json, and the alerts for Kubernetes; `make docs` does it
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.dashboard.check import Found, check
from loadtests.dashboard.grafana import dashboard
from loadtests.dashboard.prometheus import binary
from loadtests.dashboard.rules import prometheus_rule

DOCKER = Path(__file__).parents[2] / "docker"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when nothing is empty, or when Prometheus is not installed."""
    parser = argparse.ArgumentParser("python -m loadtests.dashboard", description="The Grafana dashboard.")
    parser.add_argument("action", nargs="?", choices=("check", "write"), default="check")
    parser.add_argument("--seconds", type=float, default=60, help="of load; default 60")
    options = parser.parse_args(arguments)
    if options.action == "write":
        (DOCKER / "grafana/dashboards/warmroute.json").write_text(dashboard())
        (DOCKER / "kubernetes/monitoring/prometheus-rule.yaml").write_text(prometheus_rule())
        return 0
    if binary() is None:
        print("Skipped: prometheus is not installed (Debian: apt-get install prometheus).")
        return 0
    found, alerts = asyncio.run(check(options.seconds))
    print(report(found, alerts))
    return 1 if any(not one.series for one in found) else 0


def report(found: Sequence[Found], alerts: Sequence[str]) -> str:
    """A Markdown table of all queries, the empty ones marked, and a line on alerts."""
    lines = ["| row | panel | query | series | last value |", "|---|---|---|---:|---:|"]
    for one in found:
        last = f"{one.series[0].points[-1][1]:.4g}" if one.series else "**empty**"
        lines.append(f"| {one.row} | {one.panel.title} | {one.query.legend} | {len(one.series)} | {last} |")
    empty = sum(not one.series for one in found)
    lines.append(f"\n{len(found)} queries, {empty} empty. Alerts: {', '.join(alerts) or 'none'}.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
