"""Several router processes on one host, behind one port.

Nouns: the *supervisor* starts the processes, restarts those that crash and passes signals on, and serves no request
itself. A *process config* is what one process knows about its siblings. The *embedded server* is the Valkey through
which they share index and load, where the settings name no other server. A *page* is one process's metrics.
"""
