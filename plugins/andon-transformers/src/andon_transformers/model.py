"""A model and its tokenizer, and what their files say of them.

Transformers builds its classes at run time and types few of them; what is not typed stays here.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from andon.specs import ModelCard
from andon_transformers import json_schema
from andon_transformers.detokenize import Detokenizer
from andon_transformers.json_schema import SchemaCompiler
from andon_transformers.prompts import PromptEncoder, find_control_tokens
from andon_transformers.sampling import SamplingDefaults

#: A tokenizer without a limit of its own says that it takes 10 to the 30th tokens.
_UNLIMITED = 10**9

#: Names by which models take the state that they continue from.
_STATES = ("past_key_values", "cache_params")


class LoadedModel:
    """A causal language model with its tokenizer, read once and ready to be used.

    :param name: the model's name, as it was asked for.
    :param model: the model, as Transformers loads it.
    :param tokenizer: its tokenizer, one that the ``tokenizers`` library runs.
    :raises ValueError: the model cannot continue from a state, or the tokenizer is of another kind.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError("its tokenizer has no tokenizer.json; convert it to one")
        self._model = model.eval()
        self._state, self._extra = _calling_convention(model)
        text = backend.to_str()
        data = json.loads(text)
        template = _template(tokenizer.chat_template)
        self.config = model.config
        control_tokens = find_control_tokens(data, tokenizer.all_special_tokens, template)
        self.control_tokens = tuple(control_tokens)
        self.encoder = PromptEncoder(data, control_tokens)
        self.detokenizer = Detokenizer(backend, data["decoder"])
        self.opening = _opening(tokenizer)
        self.end_tokens = _end_tokens(model, tokenizer)
        self.sampling = _sampling(model.generation_config)
        size = model.config.get_text_config().vocab_size
        self.schemas = SchemaCompiler(text, size, sorted(self.end_tokens))
        self.card = _card(name, model, tokenizer, template)
        self.metadata = _metadata(tokenizer, template)

    def forward(self, tokens: Sequence[int], cache: Any) -> torch.Tensor:
        """Read tokens after those in the cache; return the logits after the last."""
        ids = torch.tensor([tokens], dtype=torch.long, device=self._model.device)
        output = self._model(input_ids=ids, use_cache=True, **{self._state: cache}, **self._extra)
        logits: torch.Tensor = output.logits[0, -1]
        return logits


def _calling_convention(model: Any) -> tuple[str, dict[str, Any]]:
    parameters = inspect.signature(model.forward).parameters
    state = next((name for name in _STATES if name in parameters), None)
    if state is None:
        raise ValueError(f"models of the kind {type(model).__name__} cannot continue from a cache")
    # Without it the logits of every token of the prompt are computed, and most are thrown away.
    return state, {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}


def _template(template: str | Mapping[str, str] | None) -> str:
    """Return the source of the template for chats; some models bring several by name."""
    if isinstance(template, Mapping):
        return template.get("default") or next(iter(template.values()), "")
    return template or ""


def _opening(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer puts before every text."""
    whole: list[int] = tokenizer("x").input_ids
    bare: list[int] = tokenizer("x", add_special_tokens=False).input_ids
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start]
    return []


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    ends: set[int] = set()
    for owner in (model.generation_config, model.config, tokenizer):
        match getattr(owner, "eos_token_id", None):
            case int(id_):
                ends.add(id_)
            case [*ids]:
                ends.update(ids)
    return frozenset(ends)


def _sampling(config: Any) -> SamplingDefaults:
    temperature = config.temperature if config.temperature is not None else 1.0
    return SamplingDefaults(
        temperature=temperature if config.do_sample else 0.0,
        top_p=config.top_p if config.top_p is not None else 1.0,
        top_k=config.top_k or None,
    )


def _card(name: str, model: Any, tokenizer: Any, template: str) -> ModelCard:
    capabilities = {"chat", "prefill"}
    if "tools" in template:
        capabilities.add("tools")
    if json_schema.is_available():
        capabilities.add("json_schema")
    return ModelCard(
        name=name,
        backends=("candle",),
        context_window=_context_window(model, tokenizer),
        capabilities=frozenset(capabilities),
        description=f"{type(model).__name__}, {model.num_parameters():,} parameters",
    )


def _context_window(model: Any, tokenizer: Any) -> int | None:
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if window is None and 0 < tokenizer.model_max_length < _UNLIMITED:
        window = int(tokenizer.model_max_length)
    return window


def _metadata(tokenizer: Any, template: str) -> dict[str, Any]:
    texts = {
        "chat_template": template,
        "bos_token": tokenizer.bos_token,
        "eos_token": tokenizer.eos_token,
    }
    return {key: text for key, text in texts.items() if text}
