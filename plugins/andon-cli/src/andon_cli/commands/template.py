"""``andon template``: the prompt that a model gets to read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from andon.errors import InvalidRequestError
from andon.messages import ChatMessage, as_messages
from andon_cli.app import App
from andon_cli.chosen_template import ChosenTemplate, choose_template
from andon_cli.completion import complete_models
from andon_cli.failures import note
from andon_cli.options import json_option, read_stdin
from andon_cli.prompt_parts import Part, split_prompt
from andon_cli.terminal import is_terminal, safe, style

_SAMPLE = (
    ChatMessage.user("What is the capital of France?"),
    ChatMessage.assistant("The capital of France is Paris."),
    ChatMessage.user("And of Italy?"),
)


@click.command("template")
@click.argument("model", shell_complete=complete_models)
@click.argument("text", required=False)
@click.option(
    "--messages",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A JSON file with OpenAI-style messages; - for stdin.",
)
@click.option("--system", help="What the model is told before everything else.")
@click.option("--no-generation-prompt", is_flag=True, help="Do not open the assistant's answer.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    text: str | None,
    file: str | None,
    system: str | None,
    no_generation_prompt: bool,
    as_json: bool,
) -> None:
    """Show the prompt that MODEL gets to read for TEXT, for messages, or for a sample chat.

    MODEL is a name, with its backend or without, a GGUF file, or a folder with a tokenizer's
    files. The prompt goes to stdout as it is; which template wrote it, and why, to stderr. On a
    terminal, what the template adds is coloured.
    """
    if text is not None and file is not None:
        raise click.UsageError("give either TEXT or --messages", ctx)
    messages = _messages(text, file, system)
    with ctx.ensure_object(App).client() as client:
        chosen = choose_template(client.plugins, model)
    rendered = chosen.engine.render(messages, not no_generation_prompt)
    if as_json:
        record = _record(model, chosen, rendered.text)
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    _explain(chosen)
    if is_terminal(sys.stdout):
        _show(split_prompt(chosen.engine, messages, rendered.text, not no_generation_prompt))
    else:
        sys.stdout.write(rendered.text)


def _messages(text: str | None, file: str | None, system: str | None) -> list[ChatMessage]:
    if file is not None:
        messages = _read_messages(file)
    else:
        messages = [*_SAMPLE] if text is None else [ChatMessage.user(text)]
    return [ChatMessage.system(system), *messages] if system else messages


def _read_messages(file: str) -> list[ChatMessage]:
    try:
        text = read_stdin() if file == "-" else Path(file).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"the messages in {file} cannot be read: {error}") from error
    if isinstance(found, dict) and "messages" in found:
        found = found["messages"]
    if not isinstance(found, list):
        raise InvalidRequestError(f"{file} must hold a list of messages")
    return list(as_messages(found))


def _explain(chosen: ChosenTemplate) -> None:
    name = chosen.format
    if chosen.variant not in {None, chosen.format}:
        name += f" {chosen.variant}"
    note(f"{name} ({chosen.reason})", kind="template")
    if is_terminal(sys.stdout):
        click.echo(err=True)


def _show(parts: list[Part]) -> None:
    for part in parts:
        text = safe(part.text)
        sys.stdout.write(text if part.content else style(text, sys.stdout, fg="cyan"))
    sys.stdout.write("\n")


def _record(model: str, chosen: ChosenTemplate, prompt: str) -> dict[str, object]:
    return {
        "model": model,
        "format": chosen.format,
        "variant": chosen.variant,
        "source": chosen.source,
        "reason": chosen.reason,
        "stop": list(chosen.engine.stop),
        "prompt": prompt,
    }
