"""Published results, under their own conditions, beside what the laboratory finds.

Nouns: a *claim* is what somebody published, with its source, its conditions, and what of them is not known; an *arm* is
one way to serve that traffic; *figures* are what a run comes to. Nothing here is tuned until a published number
appears: engines are those of `loadtests.engine.profiles`.
"""
