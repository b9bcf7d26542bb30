"""How the next token is chosen: a chain of llama.cpp's samplers."""

from __future__ import annotations

import ctypes
import json
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from andon.backends.engine import GenerateOptions
from andon.errors import UnsupportedParameterError
from andon_llama_cpp.library import Context, Model

#: llama.cpp's own defaults, for what a request leaves open.
TEMPERATURE = 0.8
TOP_P = 0.95

_SEEDS = 0xFFFFFFFF

_ANY_CHARACTER = r"""char ::= [^"\\] |"""
_NO_CONTROL = r"""char ::= [^"\\\x00-\x1F\x7F] |"""


class Sampler:
    """A chain of samplers: grammar, then the most likely token, or a draw of the likely ones.

    :param model: whose tokens are chosen.
    :param options: how to choose.
    :param begun: the tokens of what was begun of a JSON value.
    :raises UnsupportedParameterError: llama.cpp cannot enforce the JSON schema, or it does not
        allow what was begun.
    """

    def __init__(self, model: Model, options: GenerateOptions, begun: Sequence[int] = ()) -> None:
        self._functions = functions = model.functions
        grammar = _grammar_sampler(model, options.json_schema)
        if grammar:
            _advance(functions, grammar, begun)
        params = functions.llama_sampler_chain_default_params()
        params.no_perf = True
        self.pointer: int | None = functions.llama_sampler_chain_init(params)
        chain = [grammar] if grammar else []
        for link in chain + _choice(functions, options):
            functions.llama_sampler_chain_add(self.pointer, link)

    def sample(self, context: Context) -> int:
        """Return the next token after all that the context has read."""
        return int(self._functions.llama_sampler_sample(self.pointer, context.pointer, -1))

    def free(self) -> None:
        """Give the memory back; may be called twice."""
        if self.pointer:
            pointer, self.pointer = self.pointer, None
            self._functions.llama_sampler_free(pointer)


def _choice(functions: Any, options: GenerateOptions) -> list[Any]:
    temperature = TEMPERATURE if options.temperature is None else options.temperature
    if temperature == 0:
        return [functions.llama_sampler_init_greedy()]
    top_p = TOP_P if options.top_p is None else options.top_p
    # The largest seed stands for a random one in llama.cpp.
    seed = random.randrange(_SEEDS) if options.seed is None else options.seed % _SEEDS  # noqa: S311
    return [
        functions.llama_sampler_init_top_p(top_p, 1),
        functions.llama_sampler_init_temp(temperature),
        functions.llama_sampler_init_dist(seed),
    ]


def _grammar_sampler(model: Model, schema: Mapping[str, Any] | None) -> Any:
    if schema is None:
        return None
    grammar = _grammar(json.dumps(schema))
    sampler = model.functions.llama_sampler_init_grammar(model.vocab, grammar, b"root")
    if not sampler:
        raise UnsupportedParameterError("llama.cpp cannot read the grammar of this JSON schema")
    return sampler


def _advance(functions: Any, grammar: Any, begun: Sequence[int]) -> None:
    """Have a grammar take what was begun."""
    for token in begun:
        # Asked first: a token that it does not allow would end the process.
        one = (functions.llama_token_data * 1)(functions.llama_token_data(token, 0.0, 0.0))
        choice = functions.llama_token_data_array(one, 1, -1, False)
        functions.llama_sampler_apply(grammar, ctypes.byref(choice))
        if one[0].logit == float("-inf"):
            functions.llama_sampler_free(grammar)
            raise UnsupportedParameterError(
                "the JSON schema does not allow what was begun of the answer"
            )
        functions.llama_sampler_accept(grammar, token)


@lru_cache(maxsize=32)
def _grammar(schema: str) -> bytes:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        grammar: str = json_schema_to_gbnf(schema)
    except Exception as error:
        raise UnsupportedParameterError(
            f"llama.cpp cannot enforce this JSON schema: {type(error).__name__}: {error}"
        ) from error
    # The binding's rule lets control characters stand in a string, which JSON does not.
    return grammar.replace(_ANY_CHARACTER, _NO_CONTROL).encode()
