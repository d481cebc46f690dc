"""A separate network, which loses packets silently. A proxy cannot: the kernel acknowledges what it accepts."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

#: The part of the rows that this process runs. Each part has its own network.
PART = int(os.environ.get("CHAOS_PART", "0/1").partition("/")[0])
#: Addresses of TEST-NET-2, which no real network has. The near side has two, so that connections made from the first
#: one can be lost while new ones work.
NEAR, FAR, OTHER_NEAR = (f"198.51.100.{8 * PART + number}" for number in (1, 2, 3))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """This host and a namespace, joined by a cable. Routes to a black hole in the namespace lose what it answers."""

    def __init__(self) -> None:
        self.name = f"chaos-{os.getpid()}"
        self.within = ["ip", "netns", "exec", self.name]
        self._device = f"ch{os.getpid()}"[:15]

    def lose_all(self) -> None:
        for address in (NEAR, OTHER_NEAR):
            self._far("route", "replace", "blackhole", address)

    def lose_established(self) -> None:
        """As a firewall does that forgot its connections: they are lost, and new ones work."""
        _ip("route", "replace", FAR, "dev", self._device, "src", OTHER_NEAR)
        self._far("route", "replace", "blackhole", NEAR)

    def restore(self) -> None:
        _ip("route", "replace", FAR, "dev", self._device, "src", NEAR)
        for address in (NEAR, OTHER_NEAR):
            subprocess.run([*self.within, "ip", "route", "del", "blackhole", address], check=False, capture_output=True)

    def make(self) -> None:
        peer = f"{self._device[:14]}b"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._device, "type", "veth", "peer", "name", peer, "netns", self.name)
        for address in (NEAR, OTHER_NEAR):
            _ip("address", "add", f"{address}/29", "dev", self._device)
        _ip("link", "set", self._device, "up")
        self._far("address", "add", f"{FAR}/29", "dev", peer)
        self._far("link", "set", peer, "up")
        self._far("link", "set", "lo", "up")
        self.restore()

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._device], check=False, capture_output=True)

    def _far(self, *words: str) -> None:
        subprocess.run([*self.within, "ip", *words], check=True, capture_output=True)


@contextmanager
def own_network() -> Iterator[Network]:
    network = Network()
    try:
        try:
            network.make()
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("not run: no network namespace can be made here")
        yield network
    finally:
        network.remove()
