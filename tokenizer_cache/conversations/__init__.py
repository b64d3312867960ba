"""What is remembered of conversations: chains of keyed block hashes and how far they are known, never text."""
