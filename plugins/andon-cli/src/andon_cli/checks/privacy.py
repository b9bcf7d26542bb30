"""What keeps data near, and a canary for each layer that must not get out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from andon.chat import ChatRequest
from andon.errors import AndonError, PrivacyViolation
from andon.messages import ChatMessage, ImagePart
from andon.privacy import PrivacyTier
from andon.privacy.canary import check_guard, check_kernel
from andon.privacy.egress import EgressPolicy
from andon.privacy.endpoints import check_endpoint
from andon.privacy.kernel import VARIABLE, Layer, Protection, is_enforced
from andon.privacy.payload import check_payload
from andon.privacy.switches import still_on
from andon_cli.app import App
from andon_cli.checks import Check, State

if TYPE_CHECKING:
    from andon.settings import NetworkSettings

_FAR = "http://192.0.2.1:9"

#: Run under a layer in the kernel: the canaries that know nothing of Python's guard.
_CANARY = (
    "import json; from andon.privacy.canary import check_kernel; "
    "print(json.dumps([[p.name, p.on, p.reason] for p in check_kernel()]))"
)


def check(app: App) -> Sequence[Check]:
    """Look at every layer; nothing that carries data is sent anywhere."""
    settings = app.settings()
    network = settings.network
    policy = EgressPolicy.of(network.allow_cidrs, network.allow_names, network.unix_sockets)
    return [
        _tier(settings.privacy),
        _listed(network),
        _refused("payload: image by address", _remote_image),
        _refused("settings: proxy", lambda: _proxy(policy)),
        _refused("locality: a backend that lies", _lying_backend),
        _refused("andon's own HTTP", lambda: _request(policy)),
        *_guard(network, policy),
        _switches(settings.privacy),
        *_kernel(),
    ]


def _tier(tier: PrivacyTier) -> Check:
    if tier is PrivacyTier.STANDARD:
        detail = "standard: every backend may be used; what follows holds for clients of the others"
        return Check("tier", State.OFF, detail)
    return Check("tier", State.OK, f"{tier}: the settings keep data near")


def _listed(network: NetworkSettings) -> Check:
    listed = (*network.allow_cidrs, *network.allow_names, *network.unix_sockets)
    return Check("near", State.OK, ", ".join(("this machine", *listed)))


def _refused(name: str, attempt: Callable[[], object]) -> Check:
    try:
        attempt()
    except PrivacyViolation:
        return Check(name, State.OK, "refused, before anything is sent")
    except AndonError as error:
        return Check(name, State.FAILED, f"it was refused for another reason: {error}")
    return Check(name, State.FAILED, "it was not refused")


def _remote_image() -> None:
    message = ChatMessage.user([ImagePart(f"{_FAR}/canary.png")])
    check_payload(PrivacyTier.SOVEREIGN, ChatRequest(model="canary", messages=(message,)))


def _proxy(policy: EgressPolicy) -> None:
    check_endpoint(PrivacyTier.SOVEREIGN, policy, "canary", {"proxy": _FAR})


def _lying_backend() -> None:
    """Ask a backend that calls itself local, and is not."""
    from types import ModuleType

    from andon.backends.http_backend import http_backend_spec
    from andon.client import Client
    from andon.hookspecs import hookimpl
    from andon.settings import NetworkSettings, Settings
    from andon.specs import Locality
    from andon.wire.endpoint import EndpointSpec
    from andon.wire.openai_chat import openai_dialect

    endpoint = EndpointSpec(base_url=_FAR, locality=Locality.LOCAL)
    spec = http_backend_spec("canary", endpoint, openai_dialect())
    plugin = ModuleType("canary")
    vars(plugin)["andon_register_backends"] = hookimpl(lambda: [spec])
    # Without the guard, which would hide what this is about.
    settings = Settings(privacy=PrivacyTier.SOVEREIGN, network=NetworkSettings(guard=False))
    with Client(settings=settings, discover=False, plugins=[plugin]) as client:
        client.chat("canary:canary", "")


def _request(policy: EgressPolicy) -> None:
    """Send a request past all that comes before it."""
    from andon.wire.http import ConnectionSettings, HTTPConnection
    from andon.wire.waits import Timeouts

    connection = HTTPConnection(ConnectionSettings(tls=False, egress=policy))
    try:
        connection.send("GET", _FAR, {}, b"", Timeouts(connect=1.0)).close()
    finally:
        connection.close()


def _guard(network: NetworkSettings, policy: EgressPolicy) -> Iterator[Check]:
    if not network.guard:
        yield Check("guard", State.OFF, "left to another layer by network.guard = false")
        return
    try:
        yield from map(_canary, check_guard(policy))
    except PrivacyViolation as error:
        yield Check("guard", State.FAILED, str(error))


def _switches(tier: PrivacyTier) -> Check:
    left = still_on(os.environ)
    if not left:
        return Check("switches", State.OK, "libraries are told not to call home")
    more = f", and {len(left) - 1} more" if len(left) > 1 else ""
    # Those that try all the same meet the guard.
    detail = f"{left[0]}{more}; andon sovereign and lockdown() set them"
    inside = VARIABLE in os.environ and tier is PrivacyTier.SOVEREIGN
    return Check("switches", State.FAILED if inside else State.OFF, detail)


def _kernel() -> Iterator[Check]:
    if is_enforced():
        yield from map(_canary, check_kernel())
        return
    if os.environ.get(VARIABLE, Layer.LANDLOCK) != Layer.LANDLOCK:
        detail = f"{VARIABLE} says that {os.environ[VARIABLE]} is on, and it is not"
        yield Check("kernel", State.FAILED, detail)
    else:
        yield Check("kernel", State.OFF, "not over this process; andon sovereign -- COMMAND")
    for layer in (Layer.SECCOMP, Layer.NAMESPACE, Layer.NO_NETWORK, Layer.LANDLOCK):
        yield _available(layer)


def _available(layer: Layer) -> Check:
    """Start canaries under a layer, and see whether one gets out."""
    name = f"kernel: {layer}"
    # Landlock wants a port, and one at which no canary tries.
    options = ["--layer", layer, *(["--port", "1"] if layer is Layer.LANDLOCK else [])]
    command = [sys.executable, "-m", "andon_cli", "sovereign", "--quiet", *options, "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", _CANARY],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return Check(name, State.OFF, said[-1].removeprefix("error: ") if said else "not to be had")
    found = [Protection(*row) for row in json.loads(done.stdout)]
    leaks = [protection for protection in found if not protection.on]
    if leaks:
        return Check(name, State.FAILED, f"{leaks[0].name}: {leaks[0].reason}")
    return Check(name, State.OK, f"can be had, and holds: andon sovereign --layer {layer}")


def _canary(protection: Protection) -> Check:
    return Check(protection.name, State.OK if protection.on else State.FAILED, protection.reason)
