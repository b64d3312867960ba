"""Which routing rule is better: many small cells, some to tune with, the others named before any run and run once."""
