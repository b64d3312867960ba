"""`python -m docker.grafana`: writes the dashboard, and the alerts for Kubernetes. `make docs` does it."""

from pathlib import Path

from docker.grafana.grafana import dashboard
from docker.grafana.rules import prometheus_rule

DOCKER = Path(__file__).parents[1]


def main() -> None:
    """Write both files in place."""
    (DOCKER / "grafana/dashboards/warmroute.json").write_text(dashboard())
    (DOCKER / "kubernetes/monitoring/prometheus-rule.yaml").write_text(prometheus_rule())


if __name__ == "__main__":
    main()
