"""A TCP proxy that delays and freezes what passes, counts packets, and may lead elsewhere. It runs on a thread."""

import asyncio
import threading
from contextlib import suppress

from ports import LOCAL


class Proxy:
    """`delay`: seconds that each piece of data takes, half of them in each direction."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.delay = 0.0
        self.packets = 0
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, LOCAL, 0), self._loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Accept everything and pass nothing on."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Break every connection."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def close(self) -> None:
        self.thaw()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        self._abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        self._writers.add(near_writer)
        with suppress(OSError):
            await self._flows.wait()
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            self._writers.add(far_writer)
            ways = (
                self._pass(near_reader, far_writer, counts=True),
                self._pass(far_reader, near_writer, counts=False),
            )
            await asyncio.gather(*ways)
            self._writers.discard(far_writer)
        near_writer.close()
        self._writers.discard(near_writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                self.packets += counts
                if self.delay:
                    await asyncio.sleep(self.delay / 2)
                await self._flows.wait()
                writer.write(data)
        writer.close()
