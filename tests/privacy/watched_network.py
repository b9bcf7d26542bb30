"""Run in a network of its own: gives it a way out that leads nowhere, and watches it.

    unshare --user --map-root-user --net python watched_network.py FOLDER COMMAND…

A pair of virtual cards stands for the way out: what is sent to any other machine comes out of the
second one, and is captured there. Prints one JSON object: the packets of a control, which is sent
on purpose, those of the command, and the command's exit code and output.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

ALL_PROTOCOLS = 0x0003
IPV6 = 0x86DD
#: What the kernel itself sends where there is IPv6, asked or not: ICMPv6 and multicast reports.
KERNELS_OWN = {58, 0}

SETUP = """
link set lo up
link add leak0 type veth peer name leak1
link set leak0 address 02:00:00:00:00:01 arp off
link set leak1 address 02:00:00:00:00:02 arp off up
address add 198.51.100.1/24 dev leak0
-6 address add 2001:db8::1/64 dev leak0 nodad
link set leak0 up
route add default via 198.51.100.2
-6 route add default via 2001:db8::2 dev leak0
neighbour replace 198.51.100.2 lladdr 02:00:00:00:00:02 dev leak0
-6 neighbour replace 2001:db8::2 lladdr 02:00:00:00:00:02 dev leak0
"""


class Capture:
    """Takes what comes out of the way out."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind(("leak1", 0))
        self._socket.setblocking(False)

    def take(self) -> list[str]:
        """Return the packets since the last time, but for the kernel's own."""
        found = []
        while True:
            try:
                frame, place = self._socket.recvfrom(65536)
            except BlockingIOError:
                return found
            protocol = int.from_bytes(frame[12:14], "big")
            own = protocol == IPV6 and frame[20] in KERNELS_OWN
            if not own and place[2] != socket.PACKET_OUTGOING:
                found.append(frame.hex())


def send_control() -> None:
    """Send what must be captured: a datagram, and the beginning of a connection, by both ways."""
    for family, host in ((socket.AF_INET, "203.0.113.7"), (socket.AF_INET6, "2001:db8:7::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"control", (host, 53))
        with socket.socket(family) as sock:
            sock.setblocking(False)
            sock.connect_ex((host, 443))


def main(folder: str, *command: str) -> None:
    for line in SETUP.strip().splitlines():
        subprocess.run(["ip", *line.split()], check=True)
    capture = Capture()
    send_control()
    control = capture.take()
    output = Path(folder) / "output.txt"
    with output.open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    print(
        json.dumps(
            {
                "control": control,
                "leaked": capture.take(),
                "code": done.returncode,
                "output": output.read_text("utf-8", "replace"),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
