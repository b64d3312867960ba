"""Fleet load: what all routers together have given each worker, so that none decides on its own part alone.

Nouns: a *part* is what one router has in flight, queued and held on every worker, packed into one string with a
lifetime of seconds; *elsewhere* is what all other routers have on one worker. Each router writes its part and reads
the others'; a dead router's part goes by itself.
"""
