"""``andon complete``: a raw completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from andon_cli.answers import print_answer, print_json
from andon_cli.app import App
from andon_cli.completion import complete_models
from andon_cli.options import json_option, read_stdin, request_options

if TYPE_CHECKING:
    from andon.options import RequestOptions


@click.command("complete")
@click.argument("model", shell_complete=complete_models)
@click.argument("prompt", required=False)
@request_options
@json_option
@click.pass_obj
def command(
    app: App,
    model: str,
    prompt: str | None,
    privacy: str | None,
    as_json: bool,
    **options: Unpack[RequestOptions],
) -> None:
    """Let MODEL continue PROMPT, or the text on stdin, as it stands.

    No chat template is applied. One line break at the end of stdin is not part of the text. The
    continuation is printed exactly; a line break follows on a terminal only.
    """
    text = read_stdin().removesuffix("\n") if prompt is None else prompt
    if not text:
        raise click.UsageError("there is no text to continue", click.get_current_context())
    with app.client(privacy) as client:
        stream = client.stream(model, prompt=text, **options)
        if as_json:
            print_json(stream)
        else:
            print_answer(stream, end_line=False)
