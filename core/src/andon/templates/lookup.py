"""Finding the template of a model: its own metadata first, then what its name says."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.errors import ConfigurationError, ModelLoadError
from andon.specs import ChatTemplateSpec
from andon.templates.detection import Detection, detect_format
from andon.templates.formats import TemplateFormat, variants

if TYPE_CHECKING:
    from andon.templates.jinja import JinjaTemplate

_log = logging.getLogger("andon.templates")

#: Larger files than this are no tokenizer's settings.
_MOST_BYTES = 64 * 1024 * 1024


#: GGUF's kinds of token that are recognised as a whole: control, and user-defined.
_CONTROL = 3
_ADDED = (_CONTROL, 4)
#: What steers although its tokenizer does not call it special.
_MARK = re.compile(r"<\|.+\|>|\[/?[A-Z_]+\]|</?(?:think|tools?|tool_calls?|tool_responses?)>")


_TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A model's template.

    :param template: the format, or the spec of a Jinja template or a plugin.
    :param variant: the version of a built-in format.
    :param control_tokens: control tokens of the model's tokenizer.
    :param bos_token: the text of its BOS.
    """

    template: TemplateFormat | ChatTemplateSpec
    variant: str | None = None
    control_tokens: tuple[str, ...] = ()
    bos_token: str = ""


def find_template(
    name: str, metadata: Mapping[str, Any] | None, specs: Sequence[ChatTemplateSpec]
) -> Found:
    """Return a model's template.

    :param name: the model's name, or the folder of its tokenizer's files.
    :param metadata: keys of a GGUF file or of ``tokenizer_config.json``.
    :param specs: formats of plugins.
    :raises ConfigurationError: the name points to a format that andon does not have.
    """
    folder = Path(name)
    if not metadata and _is_folder(folder):
        metadata = _folder_metadata(folder)
    if metadata and (found := _from_metadata(name, metadata)):
        return found
    label = folder.name if _is_folder(folder) else name
    if spec := _matching(label, specs):
        return Found(spec)
    return _from_name(label, metadata or {})


def _from_metadata(name: str, metadata: Mapping[str, Any]) -> Found | None:
    if variant := _mistral_version(metadata):
        return Found(TemplateFormat.MISTRAL, variant)
    source = _chat_template(metadata)
    if source is None:
        return None
    from andon.templates.jinja import JinjaTemplate

    tokens = _control_tokens(metadata)
    bos, eos = _token(metadata, "bos"), _token(metadata, "eos")
    template = JinjaTemplate(source, bos_token=bos, eos_token=eos, name=f"jinja:{name}")
    stop = _ends(eos, tokens, template)
    spec = ChatTemplateSpec(name=template.name, render=template, control_tokens=tokens, stop=stop)
    return Found(spec, control_tokens=tokens, bos_token=bos)


def _ends(eos: str, tokens: Sequence[str], template: JinjaTemplate) -> tuple[str, ...]:
    """Return the tokens that end an answer: EOS, and what the template ends turns with."""
    ends = [end for end in _TURN_ENDS if end in tokens and template.mentions(end)]
    if template.mentions("<|channel|>"):
        # Harmony's messages end several times within one answer.
        ends = [end for end in ends if end != "<|end|>"]
    return tuple(dict.fromkeys([eos, *ends] if eos else ends))


def _chat_template(metadata: Mapping[str, Any]) -> str | Mapping[str, str] | None:
    found = metadata.get("chat_template", metadata.get("tokenizer.chat_template"))
    if isinstance(found, list | tuple):
        found = {row["name"]: row["template"] for row in found}
    elif isinstance(found, str):
        named = {
            key.removeprefix("tokenizer.chat_template."): value
            for key, value in metadata.items()
            if key.startswith("tokenizer.chat_template.") and isinstance(value, str)
        }
        found = {"default": found, **named} if named else found
    return found or None


def _mistral_version(metadata: Mapping[str, Any]) -> str | None:
    """Return the version of Mistral's format that its own tokenizer files state."""
    config = metadata.get("config")
    if isinstance(config, Mapping) and isinstance(config.get("version"), str):
        version, tekken = config["version"], True
    else:
        version, tekken = metadata.get("mistral_version"), False
    if not isinstance(version, str):
        return None
    known = variants(TemplateFormat.MISTRAL)
    version = version.partition("m")[0]
    choices = (f"{version}-tekken", version) if tekken else (version,)
    return next((choice for choice in choices if choice in known), None)


def _token(metadata: Mapping[str, Any], kind: str) -> str:
    token = metadata.get(f"{kind}_token")
    if isinstance(token, Mapping):
        token = token.get("content")
    if token is None:
        index = metadata.get(f"tokenizer.ggml.{kind}_token_id")
        tokens = metadata.get("tokenizer.ggml.tokens")
        if isinstance(index, int) and tokens is not None and 0 <= index < len(tokens):
            token = tokens[index]
    return token if isinstance(token, str) else ""


def _control_tokens(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tokens that steer the model, as its tokenizer lists them."""
    rows = [(_token(metadata, kind), True) for kind in ("bos", "eos")]
    added = metadata.get("added_tokens_decoder")
    if isinstance(added, Mapping):
        rows += [(row.get("content"), row.get("special", False)) for row in added.values()]
    texts, kinds = (metadata.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    if texts is not None and kinds is not None:
        kept = ((text, kind) for text, kind in zip(texts, kinds, strict=False) if kind in _ADDED)
        rows += [(text, kind == _CONTROL) for text, kind in kept]
    return tuple(dict.fromkeys(text for text, special in rows if _steers(text, special)))


def _steers(text: object, special: bool) -> bool:
    # Vocabularies also add tokens for HTML and white space, which steer nothing.
    if not isinstance(text, str) or not text.strip():
        return False
    return special or _MARK.fullmatch(text) is not None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _folder_metadata(folder: Path) -> dict[str, Any]:
    """Return what the tokenizer's files of a folder say."""
    metadata: dict[str, Any] = {}
    if (config := folder / "tokenizer_config.json").is_file():
        metadata.update(json.loads(_read(config)))
    if (template := folder / "chat_template.jinja").is_file():
        metadata["chat_template"] = _read(template)
    elif (template := folder / "chat_template.json").is_file():
        metadata["chat_template"] = json.loads(_read(template)).get("chat_template")
    if (tekken := folder / "tekken.json").is_file():
        metadata["config"] = json.loads(_read(tekken)).get("config")
    for file in sorted(folder.glob("tokenizer.model.v*")):
        metadata["mistral_version"] = file.name.rpartition(".")[2]
    return metadata


def _read(file: Path) -> str:
    if file.stat().st_size > _MOST_BYTES:
        raise ModelLoadError(f"{file} is too large to be a tokenizer's settings")
    return file.read_text(encoding="utf-8")


def _matching(name: str, specs: Sequence[ChatTemplateSpec]) -> ChatTemplateSpec | None:
    """Return the spec whose longest glob matches a name."""
    lower = name.lower()
    names = {lower, lower.rpartition("/")[2]}
    matches = [
        (len(pattern), spec)
        for spec in specs
        for pattern in spec.models
        if any(fnmatchcase(one, pattern) for one in names)
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def _from_name(name: str, metadata: Mapping[str, Any]) -> Found:
    detection = detect_format(name)
    if not isinstance(detection.format, TemplateFormat):
        raise _unknown(name, detection)
    if detection.format is TemplateFormat.RAW:
        _log.warning("%s: %s; its prompts are raw text", name, detection.reason)
    variant = detection.variant
    if (
        detection.format is TemplateFormat.MISTRAL
        and metadata.get("tokenizer.ggml.pre") == "tekken"
    ):
        variant = {"v3": "v3-tekken", "v1": "v3-tekken", "v7": "v7-tekken"}.get(
            variant or "v3", variant
        )
    return Found(detection.format, variant, _control_tokens(metadata), _token(metadata, "bos"))


def _unknown(name: str, detection: Detection) -> ConfigurationError:
    if detection.format is None:
        return ConfigurationError(
            f"{name} is served by a remote API, which writes the prompt itself; "
            "send it the messages instead"
        )
    return ConfigurationError(
        f"{name} uses the chat format {detection.format!r}, which andon does not have built in; "
        "pass the model's own template as metadata={'chat_template': …}, or name a TemplateFormat"
    )
