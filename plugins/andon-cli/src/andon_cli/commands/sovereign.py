"""``andon sovereign``: runs a program that the kernel keeps on this machine."""

from __future__ import annotations

import os

import click

from andon.privacy import PrivacyTier
from andon.privacy.kernel import Layer, Protection
from andon_cli.app import App
from andon_cli.failures import note


@click.command(
    "sovereign",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--layer",
    type=click.Choice([layer.value for layer in Layer]),
    default=Layer.AUTO.value,
    show_default=True,
    help="How the kernel holds the program: seccomp decides every connection by its address, "
    "namespace gives it an empty network, no-network leaves it no sockets, landlock goes by port. "
    "auto takes the first of the first three that the machine allows.",
)
@click.option(
    "--isolate", is_flag=True, help="Keep servers on this machine out of reach too: namespace."
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Connect to this TCP port only; may be given several times.",
)
@click.option(
    "--socket",
    "sockets",
    multiple=True,
    metavar="PATH",
    help="A unix socket that may be connected to; may be given several times.",
)
@click.option("--quiet", is_flag=True, help="Do not say what is on, nor what is refused.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_context
def command(
    ctx: click.Context,
    command: tuple[str, ...],
    layer: str,
    isolate: bool,
    ports: tuple[int, ...],
    sockets: tuple[str, ...],
    quiet: bool,
) -> None:
    """Run a program that reaches this machine, what [network] of the settings lists, and no other.

    The Linux kernel holds it, whatever it is written in, and all that it starts. The exit code is
    the program's own. If no layer can be had, it is not started.

        andon sovereign -- python app.py
    """
    from andon.privacy.egress import EgressPolicy
    from andon.privacy.launch import run

    network = ctx.ensure_object(App).settings().network
    policy = EgressPolicy.of(network.allow_cidrs, (), (*network.unix_sockets, *sockets))
    said = set[str]()

    def tell(text: str) -> None:
        if not quiet and text not in said:
            said.add(text)
            note(f"stopped: {text}")

    def report(protections: tuple[Protection, ...]) -> None:
        for protection in protections if not quiet else ():
            state = "on" if protection.on else "off"
            note(f"{protection.name} is {state}: {protection.reason}")

    chosen = Layer.NAMESPACE if isolate else Layer(layer)
    ctx.exit(
        run(
            command,
            policy,
            layer=chosen,
            ports=ports,
            environment={**os.environ, "ANDON_PRIVACY": PrivacyTier.SOVEREIGN.value},
            report=report,
            tell=tell,
        )
    )
