"""Which chat template a model gets, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.specs import ChatTemplateSpec
from andon.templates import ChatTemplateEngine, TemplateFormat, builtin, detect_format

if TYPE_CHECKING:
    from andon.plugins import Plugins


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """A model's template.

    :param engine: what writes the prompt.
    :param source: where it comes from: ``"model"``, ``"plugin"`` or ``"name"``.
    :param reason: why it is this one, for people.
    """

    engine: ChatTemplateEngine
    source: str
    reason: str

    @property
    def format(self) -> str:
        """The format's name; ``jinja`` for a template that the model brings."""
        return self.engine.spec.name.partition(":")[0]

    @property
    def variant(self) -> str | None:
        """The version of a built-in format."""
        _, _, variant = self.engine.spec.name.partition(":")
        return None if self.format == "jinja" else variant or None


def choose_template(plugins: Plugins, name: str) -> ChosenTemplate:
    """Return the template of a model.

    :param plugins: the installed plugins, which know models and templates.
    :param name: a model's name, with its backend or without, a GGUF file, or a folder with a
        tokenizer's files.
    :raises ConfigurationError: there is no template for it.
    """
    file = _file(plugins, name)
    if file is None:
        label, metadata = _without_backend(plugins, name), None
    else:
        label, metadata = _read(file)
    specs = tuple(plugins.chat_templates())
    with _quiet_log():
        engine = ChatTemplateEngine.from_model(label, metadata=metadata, specs=specs)
    return _explained(engine, specs, label, file)


def _file(plugins: Plugins, name: str) -> Path | None:
    """Return the file or folder that holds the model, or None if all that is known is its name."""
    model = name.partition(":")[2] or name
    # The catalogue goes first, as in a backend: a folder may have a model's name by chance.
    card = plugins.model_card(model)
    if card is not None and card.file is not None:
        return card.file()
    return next((path for path in (Path(name), Path(model)) if path.exists()), None)


def _without_backend(plugins: Plugins, name: str) -> str:
    backend, _, model = name.partition(":")
    return model if model and backend in plugins.backends() else name


def _read(path: Path) -> tuple[str, Mapping[str, Any] | None]:
    """Return the label and the metadata of a model on disk."""
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        if len(files) != 1 or (path / "tokenizer_config.json").exists():
            return str(path), None
        path = files[0]
    from andon.gguf import read_header

    return path.name, read_header(path, ["tokenizer."]).values


def _explained(
    engine: ChatTemplateEngine, specs: Sequence[ChatTemplateSpec], label: str, file: Path | None
) -> ChosenTemplate:
    if engine.spec in specs:
        return ChosenTemplate(engine, "plugin", "a plugin offers it for this name")
    if engine.spec.name.startswith("jinja:"):
        return ChosenTemplate(engine, "model", f"the model's own template, in {file}")
    detected = detect_format(Path(label).name if file else label)
    if (
        isinstance(detected.format, TemplateFormat)
        and builtin(detected.format, detected.variant) is engine.spec
    ):
        return ChosenTemplate(engine, "name", detected.reason)
    return ChosenTemplate(engine, "model", f"the model's tokenizer asks for it, in {file}")


@contextmanager
def _quiet_log() -> Iterator[None]:
    # The log says of a raw prompt what the reason here says anyway.
    import logging

    log = logging.getLogger("andon.templates")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
