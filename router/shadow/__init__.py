"""What other policies would have found cached: each request is decided by them too, and nothing is sent.

Nouns: a *world* is one policy's imagined fleet, with the memory that its own choices would have left behind and the
load that they would have made; a *placing* is one request in one world. A shadow never changes what is served: it sees
what was served, and counts.
"""
