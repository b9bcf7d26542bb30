"""Which TCP ports a process may connect to: rules of Landlock, where the kernel has them.

Rules go by port and not by address: 443 here and 443 anywhere are the same to them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from andon.privacy import kernel_calls

# include/uapi/linux/landlock.h
_ASK_VERSION = 1
_CONNECT_TCP = 2
_RULE_PORT = 2
_ABSTRACT_SOCKETS = 1
_SINCE_NETWORK, _SINCE_SCOPES = 4, 6


def version() -> int:
    """Return the version of Landlock's interface.

    :raises OSError: the kernel has none, or it is off.
    """
    numbers = kernel_calls.numbers()
    return kernel_calls.call(numbers.landlock_create_ruleset, None, 0, _ASK_VERSION)


def restrict(ports: Iterable[int]) -> None:
    """Allow this process, and all that it will start, to connect only to some TCP ports; for good.

    Unix sockets in the abstract namespace of other processes are shut as well, where the kernel
    can do that.

    :param ports: the ports.
    :raises OSError: the kernel does not have or allow that, or there are other threads already,
        which would go free.
    """
    import os

    found = version()
    if found < _SINCE_NETWORK:
        raise OSError(f"rules for the network came with Landlock {_SINCE_NETWORK} (Linux 6.7); "
                      f"this kernel has {found}")  # fmt: skip
    if kernel_calls.thread_count() > 1:
        raise OSError("Landlock holds one thread, and this process has several already")
    numbers = kernel_calls.numbers()
    attributes = struct.pack("QQ", 0, _CONNECT_TCP)
    if found >= _SINCE_SCOPES:
        attributes += struct.pack("Q", _ABSTRACT_SOCKETS)
    rules = kernel_calls.call(numbers.landlock_create_ruleset, attributes, len(attributes), 0)
    try:
        for port in ports:
            rule = struct.pack("QQ", _CONNECT_TCP, port)
            kernel_calls.call(numbers.landlock_add_rule, rules, _RULE_PORT, rule, 0)
        kernel_calls.give_up_rights()
        kernel_calls.call(numbers.landlock_restrict_self, rules, 0)
    finally:
        os.close(rules)
