"""Tokenizers: where they come from, and which of their cut points are safe."""
