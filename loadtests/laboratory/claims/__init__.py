"""Published results, under their own conditions, beside what the laboratory finds.

Nouns: a *claim* is a published result, with its source, its conditions, and those of them that are not known. An *arm*
is one way to serve that traffic. *Figures* are the results of a run. Nothing here is tuned to reproduce a published
number: the engines are those of `loadtests.engine.profiles`.
"""
