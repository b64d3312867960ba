"""Who may ask, and for how much.

A *client* is whoever bears one of the keys of one label. Its *limits* are requests and uncached prompt tokens per
minute and requests at once; a *bucket* measures one of the first two; a *charge* is what one request takes of the
tokens. The *keys file* names the clients; it holds hashes of keys, never keys, and is read again when it changes.
"""

from router.clients.client import Charge, Client, Refusal
from router.clients.directory import Clients
from router.clients.keys_file import ANONYMOUS, ClientSpec, KeysFile, KeysFileError, read_keys_file

__all__ = [
    "ANONYMOUS",
    "Charge",
    "Client",
    "ClientSpec",
    "Clients",
    "KeysFile",
    "KeysFileError",
    "Refusal",
    "read_keys_file",
]
