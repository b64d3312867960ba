"""Which clients may send requests, and within which limits.

A *client* is a label with one or more keys. Its *limits* are requests per minute, uncached prompt tokens per minute,
and requests in flight. A *bucket* measures one of the first two; a *charge* is the number of tokens that one request
takes. The *keys file* names the clients; it holds hashes of keys, never keys, and is read again when it changes.
"""

from router.clients.client import Charge, Client, Refusal
from router.clients.directory import Clients
from router.clients.keys_file import ANONYMOUS, ClientSpec, KeysFileError

__all__ = [
    "ANONYMOUS",
    "Charge",
    "Client",
    "ClientSpec",
    "Clients",
    "KeysFileError",
    "Refusal",
]
