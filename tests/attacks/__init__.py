"""Attacks from outside, on whole routers over real sockets."""
