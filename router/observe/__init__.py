"""What an operator sees: metrics, the access log, traces.

Nouns: *instruments* are the counters and histograms that the request's path touches; a *record* is one finished request
as a value, from which a *line* of the access log and the *spans* of a trace are made. What a room counts of its own has
a collector there (`metrics.py`), for the one page. No log, metric or trace holds a word of a prompt.
"""
