"""Changes the worker set, and restarts routers, under load: no request may fail. `python -m loadtests.rollout`."""
