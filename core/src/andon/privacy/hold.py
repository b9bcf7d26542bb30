"""Locking a process in from within: the guard for good, switches, and a layer in the kernel."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from andon.errors import PrivacyViolation
from andon.privacy.egress import EgressPolicy
from andon.privacy.guard import GuardLease, arm
from andon.privacy.kernel import VARIABLE, Layer, Protection, enter
from andon.privacy.switches import too_late, turn_off

_HELPER = Path(__file__).with_name("kernel_helper.py")

#: For good: nobody gives them back.
_leases: list[GuardLease] = []


def lock(
    policy: EgressPolicy | None, kernel: bool, layer: Layer, ports: Sequence[int]
) -> tuple[Protection, ...]:
    """Lock this process in; see :func:`andon.privacy.lockdown`."""
    policy = policy or EgressPolicy()
    found = [_switch_off()]
    if kernel:
        found += _enter(policy, layer, ports)
        os.environ[VARIABLE] = next(str(p.name) for p in found[1:] if p.on)
    _leases.append(arm(policy))
    found.append(Protection("guard", True, "every Python library is checked before it connects"))
    return tuple(found)


def _switch_off() -> Protection:
    late = too_late(os.environ)
    turn_off(os.environ)
    if late:
        reason = f"{', '.join(late)} had been imported before; lock down first"
        return Protection("switches", False, reason)
    return Protection("switches", True, "libraries are told not to call home")


def _enter(policy: EgressPolicy, layer: Layer, ports: Sequence[int]) -> tuple[Protection, ...]:
    if sys.platform != "linux":
        raise PrivacyViolation("layers in the kernel are for Linux")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            # Before: what starts under the filter is held by it, a supervisor too.
            helper = _start_helper(policy, ports, theirs)
        if not ours.recv(1):
            raise PrivacyViolation("the supervisor of this process could not be started")
        from andon.privacy.kernel_calls import let_look_in

        let_look_in(helper)

        def hand_over(listener: int) -> None:
            socket.send_fds(ours, [b"."], [listener])
            if not ours.recv(1):
                raise PrivacyViolation("the supervisor of this process is gone")

        try:
            found = enter(layer, ports, hand_over)
        except BaseException:
            ours.close()
            _reap(helper)
            raise
    return found


def _start_helper(policy: EgressPolicy, ports: Sequence[int], line: socket.socket) -> int:
    listed = [list(map(str, policy.networks)), sorted(policy.sockets), list(ports)]
    os.set_inheritable(line.fileno(), True)
    arguments = [json.dumps(sys.path), json.dumps(listed), str(line.fileno())]
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", str(_HELPER), *arguments],
        dict(os.environ),
        setsid=True,
    )


def _reap(helper: int) -> None:
    """Wait for the helper, which ends where nothing comes over its line."""
    with suppress(ChildProcessError):
        os.waitpid(helper, 0)
