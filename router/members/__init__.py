"""Which workers belong to the fleet: listed, discovered, or decided by an operator.

Nouns: *membership* is the one way in and out. A *source* (file, DNS name, Kubernetes Service) names the full *set* of
workers that it knows, as *specs*; the *reconciler* makes the fleet follow all sources together. An *entry* of the
shared *registry* is one signed decision of an operator; the *book* is what this router believes. Redis only carries
entries: each router checks every one, and writes its own back when they are lost.
"""
