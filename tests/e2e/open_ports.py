"""Which TCP ports of a machine answer another one: all of them are tried."""

from __future__ import annotations

from collections.abc import Iterable

from tests.lab import Machine

# Reads the ports; thousands of connections at a time. A SYN that is lost is sent again after 1 s.
_PROGRAM = """
import resource, select, socket, sys, time
address, ports = sys.argv[1], [int(port) for port in sys.stdin.read().split()]
resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
family = socket.AF_INET6 if ":" in address else socket.AF_INET
while ports:
    poll, waiting = select.epoll(), {}
    for port in ports[:8192]:
        connection = socket.socket(family)
        connection.setblocking(False)
        connection.connect_ex((address, port))
        poll.register(connection, select.EPOLLOUT)
        waiting[connection.fileno()] = port, connection
    del ports[:8192]
    deadline = time.monotonic() + 1.5
    while waiting and time.monotonic() < deadline:
        for number, _ in poll.poll(0.1):
            port, connection = waiting.pop(number)
            poll.unregister(number)
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                print(port)
            connection.close()
"""


def open_ports(asking: Machine, address: str, ports: Iterable[int] = range(1, 65536)) -> set[int]:
    """Those that accept a connection from the machine that asks; of all, unless some are named."""
    words = ["python3", "-c", _PROGRAM, address]
    return {int(port) for port in asking.ssh(words, stdin=" ".join(map(str, ports))).stdout.split()}
