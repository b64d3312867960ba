"""Which machines the router may connect to, and how it does.

Nouns: a *rule* of the allow-list says which URLs and addresses a worker may have. The *resolver* turns a worker's name
into addresses and refuses those that no rule allows. *Certificates* are what both sides show each other under TLS.
"""
