"""What sessions need of a worker's KV memory: one session, its footprint, and what all of a worker need together."""
