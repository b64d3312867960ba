"""A small real DNS server, for names that change: over UDP, and over TCP for long answers."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

MAX_UDP_BYTES = 512
HOST = "127.0.0.1"


class NameServer(asyncio.DatagramProtocol):
    """Answers from `records`: name -> type -> values; a name that is not there does not exist."""

    def __init__(self, ttl_s: int = 0) -> None:
        self.ttl_s = ttl_s
        self.records: dict[str, dict[str, list[str]]] = {}
        self.failing = False
        """Answer SERVFAIL to everything."""
        self.silent = False
        self.asked = 0
        self.port = 0
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        tcp, udp = _sockets()
        self.port = tcp.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transport.close()
        await self._closed.wait()
        self._tcp.close()
        await self._tcp.wait_closed()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def set(self, name: str, kind: str, *values: str) -> None:
        """Set the name's records."""
        self.records.setdefault(name.rstrip(".") + ".", {})[kind] = list(values)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data)
        if answer is None:
            return
        wire = answer.to_wire(max_size=65535)
        if len(wire) > MAX_UDP_BYTES:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
            wire = answer.to_wire()
        self._transport.sendto(wire, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self._answer(await reader.readexactly(length))
                if answer is not None:
                    wire = answer.to_wire(max_size=65535)
                    writer.write(struct.pack("!H", len(wire)) + wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, data: bytes) -> dns.message.Message | None:
        self.asked += 1
        if self.silent:
            return None
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        (asked,) = question.question
        known = self.records.get(asked.name.to_text())
        if self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            kind = dns.rdatatype.to_text(asked.rdtype)
            if values := known.get(kind):
                answer.answer.append(dns.rrset.from_text_list(asked.name, self.ttl_s, "IN", kind, values))
        return answer


def _sockets() -> tuple[socket.socket, socket.socket]:
    """One for TCP and one for UDP, on one port that is free for both."""
    while True:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        tcp.bind((HOST, 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return tcp, udp
