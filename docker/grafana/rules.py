"""The alert rules as the Prometheus operator wants them: the same text, in the frame of a PrometheusRule."""

import textwrap
from pathlib import Path

ALERTS = Path(__file__).parents[1] / "prometheus/alerts.yaml"
HEAD = """\
# Made from docker/prometheus/alerts.yaml by `make docs`. Change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: warmroute
  labels: {app.kubernetes.io/name: warmroute}
spec:
"""


def prometheus_rule() -> str:
    """The manifest's text."""
    rules = ALERTS.read_text()
    return HEAD + textwrap.indent(rules[rules.index("groups:") :], "  ")
