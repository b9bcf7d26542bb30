"""The built-in formats by name and version."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from andon.errors import ConfigurationError
from andon.specs import ChatTemplateSpec
from andon.templates.builtin import chatml, deepseek, harmony, instruct, llama, mistral, turns
from andon.templates.layout import Renderer


class TemplateFormat(StrEnum):
    """The chat formats that andon knows by itself."""

    LLAMA2 = "llama2"
    MISTRAL = "mistral"
    CHATML = "chatml"
    ALPACA = "alpaca"
    VICUNA = "vicuna"
    RAW = "raw"
    LLAMA3 = "llama3"
    GEMMA = "gemma"
    PHI3 = "phi3"
    PHI4 = "phi4"
    ZEPHYR = "zephyr"
    DEEPSEEK = "deepseek"
    QWEN = "qwen"
    COMMAND_R = "command-r"
    HARMONY = "harmony"
    GUANACO = "guanaco"
    FALCON = "falcon"
    PHIND = "phind"
    OPENCHAT = "openchat"


def _rows(
    template: TemplateFormat,
    stop: tuple[str, ...],
    *rows: tuple[str, Renderer, tuple[str, ...]],
) -> dict[str, ChatTemplateSpec]:
    return {
        variant: ChatTemplateSpec(
            name=f"{template}:{variant}", render=render, control_tokens=control_tokens, stop=stop
        )
        for variant, render, control_tokens in rows
    }


_F = TemplateFormat
_EOT = ("<|im_end|>",)

# The first version of each format is its default.
_VARIANTS: dict[TemplateFormat, dict[str, ChatTemplateSpec]] = {
    _F.LLAMA2: _rows(
        _F.LLAMA2,
        ("</s>",),
        ("meta", llama.llama2, llama.LLAMA2_CONTROL_TOKENS),
        ("verbatim", llama.llama2_verbatim, llama.LLAMA2_CONTROL_TOKENS),
    ),
    _F.MISTRAL: _rows(
        _F.MISTRAL,
        ("</s>",),
        ("v3", mistral.v3, mistral.V3_CONTROL_TOKENS),
        ("legacy", mistral.legacy, mistral.V1_CONTROL_TOKENS),
        ("v1", mistral.v1, mistral.V1_CONTROL_TOKENS),
        ("v2", mistral.v2, mistral.V3_CONTROL_TOKENS),
        ("v3-tekken", mistral.v3_tekken, mistral.V3_CONTROL_TOKENS),
        ("v7", mistral.v7, mistral.V7_CONTROL_TOKENS),
        ("v7-tekken", mistral.v7_tekken, mistral.V7_CONTROL_TOKENS),
        ("v11", mistral.v11, mistral.V13_CONTROL_TOKENS),
        ("v13", mistral.v13, mistral.V13_CONTROL_TOKENS),
        ("v15", mistral.v13, mistral.V13_CONTROL_TOKENS),
    ),
    _F.CHATML: _rows(_F.CHATML, _EOT, ("chatml", chatml.chatml, chatml.CONTROL_TOKENS)),
    _F.ALPACA: _rows(
        _F.ALPACA,
        ("</s>", "### Instruction:"),
        ("stanford", instruct.alpaca, instruct.ALPACA_RESERVED),
        ("lines", instruct.alpaca_lines, instruct.ALPACA_RESERVED),
        ("fastchat", instruct.alpaca_fastchat, instruct.ALPACA_RESERVED),
    ),
    _F.VICUNA: {
        **_rows(
            _F.VICUNA,
            ("</s>",),
            ("v1.1", instruct.vicuna, instruct.EOS_TOKENS),
            ("lines", instruct.vicuna_lines, instruct.EOS_TOKENS),
            ("orca", instruct.vicuna_orca, instruct.EOS_TOKENS),
        ),
        # It was trained before there was an end of a turn.
        **_rows(
            _F.VICUNA,
            ("</s>", "### Human:"),
            ("v0", instruct.guanaco, instruct.HASH_RESERVED),
        ),
    },
    _F.RAW: _rows(_F.RAW, (), ("raw", instruct.raw, ()), ("lines", instruct.raw_lines, ())),
    _F.LLAMA3: _rows(
        _F.LLAMA3,
        ("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
        ("3", llama.llama3, llama.LLAMA3_CONTROL_TOKENS),
        ("3.1", llama.llama31, llama.LLAMA3_CONTROL_TOKENS),
        ("3.2", llama.llama32, llama.LLAMA3_CONTROL_TOKENS),
        ("3.3", llama.llama31, llama.LLAMA3_CONTROL_TOKENS),
    ),
    _F.GEMMA: _rows(
        _F.GEMMA,
        ("<end_of_turn>",),
        ("2", turns.gemma, turns.GEMMA_CONTROL_TOKENS),
        ("1", turns.gemma, turns.GEMMA_CONTROL_TOKENS),
        ("3", turns.gemma3, turns.GEMMA_CONTROL_TOKENS),
    ),
    _F.PHI3: _rows(
        _F.PHI3,
        ("<|end|>", "<|endoftext|>"),
        ("3", turns.phi3, turns.PHI3_CONTROL_TOKENS),
        ("3.5", turns.phi35, turns.PHI3_CONTROL_TOKENS),
    ),
    _F.PHI4: {
        **_rows(
            _F.PHI4,
            _EOT,
            ("4", turns.phi4, turns.PHI4_CONTROL_TOKENS),
            ("first", turns.phi4_first, turns.PHI4_CONTROL_TOKENS),
        ),
        **_rows(
            _F.PHI4,
            ("<|end|>", "<|endoftext|>"),
            ("mini", turns.phi4_mini, turns.PHI4_MINI_CONTROL_TOKENS),
        ),
    },
    _F.ZEPHYR: {
        **_rows(_F.ZEPHYR, ("</s>",), ("zephyr", turns.zephyr, turns.ZEPHYR_CONTROL_TOKENS)),
        **_rows(
            _F.ZEPHYR,
            ("<|endoftext|>",),
            ("stablelm", turns.zephyr_stablelm, turns.STABLELM_CONTROL_TOKENS),
        ),
    },
    _F.DEEPSEEK: {
        **_rows(
            _F.DEEPSEEK,
            (deepseek.EOS,),
            ("v3", deepseek.v3, deepseek.V3_CONTROL_TOKENS),
            ("v2", deepseek.v2, deepseek.V2_CONTROL_TOKENS),
            ("r1", deepseek.r1, deepseek.R1_CONTROL_TOKENS),
            ("r1-closed", deepseek.r1_closed, deepseek.R1_CONTROL_TOKENS),
            ("v3.1", deepseek.v31, deepseek.R1_CONTROL_TOKENS),
            ("v3.1-think", deepseek.v31_think, deepseek.R1_CONTROL_TOKENS),
            ("v3.1-closed", deepseek.v31_closed, deepseek.R1_CONTROL_TOKENS),
        ),
        **_rows(
            _F.DEEPSEEK,
            ("<|EOT|>",),
            ("coder", deepseek.coder, deepseek.CODER_CONTROL_TOKENS),
        ),
    },
    _F.QWEN: _rows(
        _F.QWEN,
        ("<|im_end|>", "<|endoftext|>"),
        ("2.5", chatml.qwen25, chatml.QWEN_CONTROL_TOKENS),
        ("2", chatml.qwen2, chatml.QWEN_CONTROL_TOKENS),
        ("3", chatml.qwen3, chatml.QWEN3_CONTROL_TOKENS),
    ),
    _F.COMMAND_R: _rows(
        _F.COMMAND_R,
        ("<|END_OF_TURN_TOKEN|>",),
        ("command-r", turns.command_r, turns.COMMAND_R_CONTROL_TOKENS),
    ),
    _F.HARMONY: _rows(
        _F.HARMONY,
        ("<|return|>", "<|call|>"),
        ("openai-harmony", harmony.harmony, harmony.CONTROL_TOKENS),
        ("hf", harmony.harmony_hub, harmony.CONTROL_TOKENS),
    ),
    _F.GUANACO: _rows(
        _F.GUANACO, ("</s>", "### Human:"), ("guanaco", instruct.guanaco, instruct.HASH_RESERVED)
    ),
    _F.FALCON: _rows(
        _F.FALCON,
        ("<|endoftext|>", "\nUser:"),
        ("falcon", instruct.falcon, instruct.FALCON_CONTROL_TOKENS),
    ),
    _F.PHIND: _rows(
        _F.PHIND, ("</s>", "### User"), ("phind", instruct.phind, instruct.PHIND_RESERVED)
    ),
    _F.OPENCHAT: _rows(
        _F.OPENCHAT,
        ("<|end_of_turn|>",),
        ("3.5", instruct.openchat, instruct.OPENCHAT_CONTROL_TOKENS),
    ),
}

_BUILTIN = {id(spec) for variants in _VARIANTS.values() for spec in variants.values()}


def variants(template: TemplateFormat | str) -> tuple[str, ...]:
    """Return the versions of a format, its default first.

    :raises ConfigurationError: there is no such format.
    """
    return tuple(_VARIANTS[_read(template)])


def builtin(template: TemplateFormat | str, variant: str | None = None) -> ChatTemplateSpec:
    """Return a built-in format.

    :param template: the format.
    :param variant: its version, or None for its default.
    :raises ConfigurationError: there is no such format, or no such version of it.
    """
    rows = _VARIANTS[_read(template)]
    if variant is None:
        return next(iter(rows.values()))
    if variant not in rows:
        raise ConfigurationError(
            f"{str(template)!r} has no variant {variant!r}; it has {_names(rows)}"
        )
    return rows[variant]


def is_builtin(spec: ChatTemplateSpec) -> bool:
    """Return whether a spec is one of andon's own rows."""
    return id(spec) in _BUILTIN


def _read(template: TemplateFormat | str) -> TemplateFormat:
    try:
        return TemplateFormat(template)
    except ValueError:
        raise ConfigurationError(
            f"there is no chat format {template!r}; there are {_names(TemplateFormat)}"
        ) from None


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(str(name)) for name in names)
