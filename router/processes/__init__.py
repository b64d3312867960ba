"""Several router processes on one host, behind one port.

Nouns: the *supervisor* starts the processes, restarts what crashed and passes signals on, and serves nothing itself; a
*place* is what one process knows of its siblings; the *embedded server* is the Valkey through which they share index
and load where no other was named; a *page* is one process's metrics.
"""
