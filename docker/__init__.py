"""How Warmroute is deployed. Its only Python makes the Grafana dashboard, and is in no image and no wheel."""
