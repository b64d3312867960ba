"""The tables of docs/benchmarks.md, measured again by the commands that stand beside them.

Nouns: a *benchmark* is a shell block of the page that a marker names; its *tables* are the parts of the page that its
output replaces; a *stamp* says when, on what and how busy a machine a table was measured. Prose is nobody's but its
author's: nothing outside the markers is touched.
"""
