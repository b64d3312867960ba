"""What an operator sees: metrics, the access log, traces.

Nouns: *instruments* are the counters and histograms that the request's path touches; a *line* of the access log and the
*spans* of a trace are made from one finished request. None of it holds a word of a prompt.
"""
