"""Layers in the Linux kernel: what holds native code and other programs as well.

Which of them a machine has and allows differs. :func:`enter` takes the first complete one that it
can have, and says of each why it is on or off; :func:`is_enforced` tells whether one is in force.
A layer is for good: nothing in the process, and nothing that it starts, can take it off again.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from andon.errors import PrivacyViolation

#: Names the layers of a process to whatever it starts; a note, and no proof.
VARIABLE = "ANDON_SOVEREIGN"


class Layer(StrEnum):
    """How the kernel holds a process.

    ``SECCOMP`` stops every connection and lets a supervisor decide by its address: servers on this
    machine stay within reach. ``NAMESPACE`` gives the process a network of its own with nothing in
    it: what serves on this machine is out of reach, unless it is started in there too.
    ``NO_NETWORK`` leaves no socket but unix sockets: for engines in the process. ``LANDLOCK``
    allows TCP to some ports, wherever they are; it is never chosen by itself. ``AUTO`` takes the
    first of ``SECCOMP``, ``NAMESPACE`` and ``NO_NETWORK`` that the machine allows.
    """

    AUTO = "auto"
    SECCOMP = "seccomp"
    NAMESPACE = "namespace"
    NO_NETWORK = "no-network"
    LANDLOCK = "landlock"


@dataclass(frozen=True, slots=True)
class Protection:
    """Something that may keep data near.

    :param name: what it is.
    :param on: whether it is in force.
    :param reason: what it does, or why it is not there.
    """

    name: str
    on: bool
    reason: str


#: Takes the descriptor at which a supervisor is asked, and returns when there is one.
HandOver = Callable[[int], None]

_ORDER = (Layer.SECCOMP, Layer.NAMESPACE, Layer.NO_NETWORK)


def enter(layer: Layer, ports: Sequence[int], hand_over: HandOver) -> tuple[Protection, ...]:
    """Put a layer over this process; for good.

    :param layer: which one.
    :param ports: the only TCP ports to connect to, for the layer ``LANDLOCK``; all others leave
        that to the supervisor.
    :param hand_over: starts the supervisor.
    :return: what is on, and what could not be had.
    :raises PrivacyViolation: none could be had.
    """
    if layer is Layer.LANDLOCK and not ports:
        raise PrivacyViolation("the layer landlock goes by ports: name those of your servers")
    if layer is Layer.AUTO and not ports and is_enforced():
        name = os.environ.get(VARIABLE, "kernel")
        return (Protection(name, True, "on already, and nothing in here can take it off"),)
    tried: list[Protection] = []
    for choice in _ORDER if layer is Layer.AUTO else (layer,):
        found = _entered(choice, ports, hand_over)
        if found[0].on:
            return (*found, *tried)
        tried += found
    reasons = "; ".join(f"{protection.name}: {protection.reason}" for protection in tried)
    raise PrivacyViolation(f"this machine has no layer in the kernel that will do ({reasons})")


def is_enforced() -> bool:
    """Return whether the kernel keeps this process from other machines, native code included.

    Found out without sending anything: there is no network here but a loopback, or the kernel
    refuses datagrams, as :mod:`andon.privacy.kernel_seccomp` makes it.
    """
    if sys.platform != "linux":
        return False
    from andon.privacy.kernel_namespace import is_alone

    if is_alone():
        return True
    if os.environ.get(VARIABLE) == Layer.LANDLOCK:
        return False
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except PermissionError as error:
        return error.errno == errno.EACCES
    except OSError:
        return False
    return False


def _entered(layer: Layer, ports: Sequence[int], hand_over: HandOver) -> tuple[Protection, ...]:
    """Try one layer; the first of what is returned is the layer itself."""
    if layer is Layer.NAMESPACE:
        return _namespace(hand_over)
    if layer is Layer.SECCOMP:
        return (_supervised(hand_over),)
    if layer is Layer.LANDLOCK:
        return (_by_port(ports),)
    return (_alone(),)


def _namespace(hand_over: HandOver) -> tuple[Protection, ...]:
    from andon.privacy import kernel_namespace

    try:
        kernel_namespace.enter()
    except OSError as error:
        return (Protection(Layer.NAMESPACE.value, False, _said(error)),)
    own = Protection(Layer.NAMESPACE.value, True, "a network with nothing but a loopback")
    # A unix socket with a path leads out of any network.
    return own, _supervised(hand_over)


def _supervised(hand_over: HandOver) -> Protection:
    from andon.privacy.kernel_seccomp import Sockets, install

    try:
        listener = install(Sockets.SUPERVISED)
    except OSError as error:
        return Protection(Layer.SECCOMP.value, False, _said(error))
    assert listener is not None
    try:
        hand_over(listener)
    finally:
        # Whoever holds it could answer in the supervisor's place.
        os.close(listener)
    what = "every connection is decided by its address; no datagrams, raw packets or io_uring"
    return Protection(Layer.SECCOMP.value, True, what)


def _by_port(ports: Sequence[int]) -> Protection:
    from andon.privacy import kernel_landlock
    from andon.privacy.kernel_seccomp import Sockets, install

    try:
        kernel_landlock.restrict(ports)
        install(Sockets.STREAMS)
    except OSError as error:
        return Protection(Layer.LANDLOCK.value, False, _said(error))
    what = f"TCP to {', '.join(map(str, ports))} only, wherever that is; no datagrams"
    return Protection(Layer.LANDLOCK.value, True, what)


def _alone() -> Protection:
    from andon.privacy.kernel_seccomp import Sockets, install

    try:
        install(Sockets.NONE)
    except OSError as error:
        return Protection(Layer.NO_NETWORK.value, False, _said(error))
    return Protection(Layer.NO_NETWORK.value, True, "no sockets to any network; unix sockets only")


def _said(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "this process has a supervisor already"
    return error.strerror or str(error)
