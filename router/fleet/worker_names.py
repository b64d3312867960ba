"""Names of workers and of their incarnations: alike on every router, with nothing of the address in them."""

import hashlib


def worker_id(url: str, rank: int = 0) -> str:
    """A short opaque id of a worker. It is equal for equal URLs on every router, and tells a client nothing of the
    address. The first rank of a server has the server's id."""
    place = f"{url}#{rank}" if rank else url  # no worker's URL has a fragment
    return "w-" + hashlib.blake2b(place.encode(), digest_size=5).hexdigest()


def holder_name(worker_id: str, generation: str) -> str:
    """The name of one incarnation of a worker in the prefix index, equal on every router. Without a generation the
    name outlives a restart."""
    mark = hashlib.blake2b(generation.encode(), digest_size=4).hexdigest()
    return f"{worker_id}.{mark}" if generation else worker_id
