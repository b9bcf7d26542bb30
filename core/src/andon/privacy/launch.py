"""Starting a program under a layer in the kernel, and watching over it: ``andon sovereign``."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from andon.errors import ConfigurationError, PrivacyViolation
from andon.privacy.egress import EgressPolicy
from andon.privacy.kernel import VARIABLE, Layer, Protection, enter
from andon.privacy.switches import turn_off

#: Told what holds the program, before it starts.
Report = Callable[[tuple[Protection, ...]], None]

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_LEFT_TO_CHILD = (signal.SIGINT, signal.SIGQUIT)


def run(
    command: Sequence[str],
    policy: EgressPolicy,
    *,
    layer: Layer = Layer.AUTO,
    ports: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    report: Report = lambda protections: None,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Run a program that can reach nothing but this machine, and what the operator lists.

    The calling process stays behind as its supervisor; it must have no other thread. Switches that
    keep libraries from calling home are set, and proxies taken out of the environment.

    :param command: the program and its arguments.
    :param policy: what it may connect to.
    :param layer: how the kernel holds it.
    :param ports: the only TCP ports that it may connect to; all where empty.
    :param environment: its environment variables; this process's own where None.
    :param report: told what is on, before the program starts.
    :param tell: told of each connection that was refused, in words.
    :return: the program's exit code, or 128 and the number of the signal that ended it.
    :raises PrivacyViolation: no layer could be had; the program was not started.
    :raises ConfigurationError: there is no such program, or it cannot be run.
    """
    if sys.platform != "linux":
        raise PrivacyViolation("layers in the kernel are for Linux; elsewhere run the program in a "
                               "container without a network")  # fmt: skip
    variables = dict(os.environ if environment is None else environment)
    turn_off(variables)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            ours.close()
            _become(command, layer, ports, variables, theirs)
        theirs.close()
        with _signals_of(child):
            try:
                _supervise(ours, policy, ports, tell, report)
            except BaseException:
                _end(child)
                raise
            return _wait(child, ours)


def _become(
    command: Sequence[str],
    layer: Layer,
    ports: Sequence[int],
    variables: dict[str, str],
    parent: socket.socket,
) -> NoReturn:
    """Enter the layer and turn into the program; the end of the child in any case."""
    try:
        listeners: list[int] = []
        # Kept until all is known: what is on travels with it.
        found = enter(layer, ports, lambda listener: listeners.append(os.dup(listener)))
        record = [[protection.name, protection.on, protection.reason] for protection in found]
        socket.send_fds(parent, [json.dumps(record).encode()], listeners)
        for listener in listeners:
            os.close(listener)
        if parent.recv(1):
            variables[VARIABLE] = next(str(p.name) for p in found if p.on)
            os.execvpe(command[0], list(command), variables)  # noqa: S606
    except (PrivacyViolation, OSError) as error:
        with suppress(OSError):
            parent.send(json.dumps(_said(error, command)).encode())
    finally:
        os._exit(127)


def _said(error: Exception, command: Sequence[str]) -> str:
    return f"{command[0]}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _supervise(
    child: socket.socket,
    policy: EgressPolicy,
    ports: Sequence[int],
    tell: Callable[[str], None],
    report: Report,
) -> None:
    from andon.privacy.kernel_supervisor import Supervisor

    text, listeners, _, _ = socket.recv_fds(child, 65536, 1)
    found = json.loads(text or b'"the program could not be started"')
    if isinstance(found, str):
        raise PrivacyViolation(found)
    for listener in listeners:
        threading.Thread(target=Supervisor(listener, policy, ports, tell).run, daemon=True).start()
    report(tuple(Protection(*row) for row in found))
    child.send(b".")


@contextmanager
def _signals_of(child: int) -> Iterator[None]:
    """Leave signals to the child: ctrl-c reaches it by itself, and others are passed on."""

    def pass_on(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in _LEFT_TO_CHILD}
    before |= {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(child: int, line: socket.socket) -> int:
    _, status = os.waitpid(child, 0)
    # The line closes where the program begins; it only says something where it did not.
    if said := line.recv(65536):
        raise ConfigurationError(json.loads(said))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
