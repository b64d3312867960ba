"""Measurements that the documentation stands on, and that are worth repeating: beside other routers, and of the ids."""
