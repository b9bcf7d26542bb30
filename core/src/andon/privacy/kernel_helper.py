"""The program that supervises a process which locked itself in; started by it just before."""

from __future__ import annotations

import json
import socket
import sys


def main(path: str, listed: str, descriptor: str) -> None:
    """Wait for a descriptor, and answer what is asked there until nobody is left.

    :param path: where modules are imported from, as JSON: those of whoever started this.
    :param listed: the networks and unix sockets that are near, and the only ports, as JSON.
    :param descriptor: the number of the socket over which the descriptor comes.
    """
    sys.path[:] = json.loads(path)
    from andon.privacy.egress import EgressPolicy
    from andon.privacy.kernel_supervisor import Supervisor

    networks, sockets, ports = json.loads(listed)
    policy = EgressPolicy.of(networks, sockets=sockets)
    with socket.socket(fileno=int(descriptor)) as line:
        line.send(b".")
        _, listeners, _, _ = socket.recv_fds(line, 1, 1)
        if not listeners:
            return
        line.send(b".")
    Supervisor(listeners[0], policy, ports).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
