"""Which machines the router may connect to, and how.

Nouns: a *rule* of the allow-list says which URLs and addresses a worker may have; the *resolver* turns a worker's name
into addresses and refuses those that no rule allows; *certificates* are what both sides show each other under TLS.
"""
