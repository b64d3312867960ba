"""Which workers belong to the fleet: listed, discovered, or decided by an operator.

Nouns: *membership* adds and removes workers; nothing else does. A *source* (file, DNS name, Kubernetes Service) names
the full *set* of workers that it knows, as *specs*. The *reconciler* makes the fleet follow all sources together. An
*entry* of the shared *registry* is one signed decision of an operator; the *book* holds the entries that this router
believes. Redis only carries entries: each router checks every entry, and writes its own back when they are lost.
"""
