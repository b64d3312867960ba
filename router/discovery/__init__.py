"""Finds workers while the router runs.

A *source* (file, DNS name, Kubernetes Service) names the full *set* of workers that it knows, as *specs*, each time it
knows it anew. The *reconciler* makes the fleet follow all sources together: who is new joins, who has left is drained
and then removed, who comes back is taken back. What no source has named (listed workers, the admin API's) is let be.
"""
