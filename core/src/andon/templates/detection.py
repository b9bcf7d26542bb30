"""Finding the chat format of a model from its name alone.

A name is stripped of registry, owner, tag, quantisation and file format; then the names of
fine-tunes are tried, and after them the families of the vendors, since a fine-tune bears its
family's name while it often has another format. A name with an explicit mark of a base model
(``-base``, ``-text``, ``-code``, ``-pt``) is :attr:`TemplateFormat.RAW`. A name with no mark at all
(``llama-2-70b``) gets its family's chat format: who asks for a chat template has a chat model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from andon.templates.formats import TemplateFormat
from andon.templates.model_names import API_NAMES, API_PROVIDERS, FAMILIES, FINE_TUNES, Rule

_REGISTRIES = re.compile(
    r"^(?:https?://)?(?:hf\.co|huggingface\.co|ollama\.com|registry\.ollama\.ai|modelscope\.cn)/"
)
_FILE = re.compile(r"\.(?:gguf|ggml|bin|safetensors|pt|pth|onnx|mlmodel)$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
# Quantisations and file formats, as they are appended to names.
_PACKING = re.compile(
    r"[-_.:](?:i?q[1-8](?:[-_.](?:k|s|m|l|xl|xs|xxs|nl|0|1|8_0))*|(?:u?d-)?q[2-8]_k_xl|f16|f32|fp16|fp32"
    r"|bf16|fp8(?:-dynamic)?|int[48]|w[48]a(?:16|8)|[2-8](?:\.\d+)?-?bits?|[2-8](?:\.\d+)?bpw|awq|gptq(?:-int[48])?"
    r"|gguf|ggml|exl[23]|mlx|onnx|bnb|nf4|nvfp4|mxfp4|qat|imat(?:rix)?|unsloth|dwq|hf|latest|quantized(?:\.w\d+a\d+)?)$"
)
_FILLER = re.compile(
    r"^(?:v?\d+(?:[._]\d+)*|v?\d+(?:\.\d+)?[bmkt]|\d+x\d+b|a\d+(?:\.\d+)?b|[0-9]+k|q\d.*)$"
)
_BASE_MARKS = frozenset({"base", "pt", "text", "code", "pretrain", "pretrained", "foundation"})


@dataclass(frozen=True, slots=True)
class Detection:
    """What a name says of its model's chat format.

    :param format: the format's name: a :class:`TemplateFormat` where andon has it, the name that
        people use where it does not, or None where a remote server writes the prompt itself.
    :param variant: the format's version, or None for its default.
    :param reason: what in the name decided, for people.
    """

    format: str | None
    variant: str | None
    reason: str

    @property
    def supported(self) -> bool:
        """Whether andon has the format built in."""
        return isinstance(self.format, TemplateFormat)


def detect_format(name: str) -> Detection:
    """Return the chat format that a model's name points to.

    :param name: the name as a hub, a registry or a file has it.
    """
    path = _REGISTRIES.sub("", name.strip().lower().replace("\\", "/"))
    owner, _, last = path.rstrip("/").rpartition("/")
    if _is_remote(owner, last):
        return Detection(None, None, "a remote API writes the prompt itself")
    stem = _stem(last)
    if marked := _base_mark(stem):
        return Detection(TemplateFormat.RAW, None, f"{marked!r} marks a base model")
    for rules, kind in ((FINE_TUNES, "fine-tune"), (FAMILIES, "family")):
        for rule in rules:
            if match := rule.pattern.search(stem):
                return _detected(rule, f"the {kind} {match[0]!r}")
    if API_NAMES.search(stem):
        return Detection(None, None, "a remote API writes the prompt itself")
    return Detection(TemplateFormat.RAW, None, "the name tells nothing; raw text has no framing")


def _detected(rule: Rule, reason: str) -> Detection:
    try:
        return Detection(TemplateFormat(rule.format), rule.variant, reason)
    except ValueError:
        return Detection(rule.format, rule.variant, f"{reason}; the format is not built in")


def _is_remote(owner: str, last: str) -> bool:
    first = owner.partition("/")[0]
    if first in API_PROVIDERS and "gpt-oss" not in last:
        return True
    # Ollama sends requests for "cloud" to its own servers; "-latest" is how hosted models move on.
    return last.endswith(("-cloud", ":cloud", "-latest"))


def _stem(last: str) -> str:
    stem = last.replace(" ", "-").removesuffix("@main")
    shorter = _FILE.sub("", stem)
    shorter = _SHARD.sub("", shorter)
    while shorter != stem:
        stem, shorter = shorter, _PACKING.sub("", shorter)
    return _unpacked(stem).replace(":", "-")


def _unpacked(stem: str) -> str:
    while (shorter := _PACKING.sub("", stem)) != stem:
        stem = shorter
    return stem


def _base_mark(stem: str) -> str | None:
    words = re.split(r"[-_]", stem)
    while len(words) > 1 and _FILLER.match(words[-1]):
        words.pop()
    if len(words) > 1 and words[-1] in _BASE_MARKS:
        return words[-1]
    return "intermediate" if "intermediate" in words else None
