"""Keeping a model's attention cache between requests that begin alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class PrefixCache:
    """The attention cache of the tokens that a model has read so far.

    :param config: configuration of the model.
    """

    def __init__(self, config: Any) -> None:
        self._config = config
        self._tokens: list[int] = []
        self._cache = DynamicCache(config=config)
        #: Whether every layer attends to keys and values. Models with a running state read a text
        #: whole or token by token, but most cannot read on by several tokens.
        self.attends = all(type(layer) in _ATTENDING for layer in self._cache.layers)

    @property
    def cache(self) -> DynamicCache:
        """What the model is called with; it holds what follows no reused prefix yet."""
        return self._cache

    def rewind(self, tokens: Sequence[int]) -> int:
        """Forget all but a common beginning with a prompt; return the number of its tokens.

        The prompt's last token is always forgotten, as its logits must be computed.
        """
        keep = min(_common(self._tokens, tokens), len(tokens) - 1)
        surplus = len(self._tokens) - keep
        if not self.attends or (surplus and not all(map(_can_crop, self._cache.layers))):
            keep = 0
        if not keep:
            self._cache = DynamicCache(config=self._config)
        elif surplus:
            self._cache.crop(-surplus)
        del self._tokens[keep:]
        return keep

    def extend(self, tokens: Sequence[int]) -> None:
        """Note tokens that the model has just read."""
        self._tokens.extend(tokens)


_ATTENDING = (DynamicLayer, DynamicSlidingWindowLayer)


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _can_crop(layer: Any) -> bool:
    if type(layer) is DynamicSlidingWindowLayer:
        # What has left the window is gone, and cannot come back when later tokens go.
        return bool(layer.get_seq_length() < layer.sliding_window)
    return type(layer) is DynamicLayer
