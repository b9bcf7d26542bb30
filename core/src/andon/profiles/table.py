"""Finding a model's profile: settings go before plugins, and these before andon's own table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from fnmatch import fnmatchcase

from andon.profiles.families import FAMILIES
from andon.specs import ModelProfile

#: Fields that say where knowledge comes from, and are no knowledge themselves.
_ORIGIN = {"models", "as_of", "source"}
_FACTS = [field.name for field in fields(ModelProfile) if field.name not in _ORIGIN]


class ProfileTable:
    """What is known of models. A fact of a nearer source replaces only itself.

    :param settings: profiles by glob patterns of ``model`` or ``backend:model``.
    :param ask_plugins: asks plugins for a profile, by backend and model.
    """

    def __init__(
        self,
        settings: Mapping[str, ModelProfile] | None = None,
        ask_plugins: Callable[[str, str], ModelProfile | None] = lambda backend, model: None,
    ) -> None:
        self._settings = tuple(
            replace(profile, models=(pattern.lower(),), source=f'settings: profiles."{pattern}"')
            for pattern, profile in (settings or {}).items()
        )
        self._ask_plugins = ask_plugins
        self._found: dict[tuple[str, str], ModelProfile] = {}

    def find(self, backend: str, model: str) -> ModelProfile:
        """Return what is known of a model; a profile without facts where nothing is.

        :param backend: the backend's name.
        :param model: the model's name there.
        """
        key = (backend, model)
        profile = self._found.get(key)
        if profile is None:
            profile = ModelProfile()
            for layer in self._layers(backend, model):
                profile = _laid_over(profile, layer)
            self._found[key] = profile
        return profile

    def _layers(self, backend: str, model: str) -> Iterator[ModelProfile]:
        """Give profiles, the farthest source first."""
        yield from _matching(FAMILIES, backend, model)
        from_plugin = self._ask_plugins(backend, model)
        if from_plugin is not None:
            yield from_plugin
        yield from _matching(self._settings, backend, model)


def _matching(
    profiles: tuple[ModelProfile, ...], backend: str, model: str
) -> Iterator[ModelProfile]:
    """Give the profiles that match a model, the most precise last."""
    found = [
        (max(lengths), place, profile)
        for place, profile in enumerate(profiles)
        if (lengths := _matches(profile, backend, model))
    ]
    for _, _, profile in sorted(found, key=lambda entry: entry[:2]):
        yield profile


def _matches(profile: ModelProfile, backend: str, model: str) -> list[int]:
    """Return how precise each pattern is that matches: the number of its fixed characters."""
    name = model.lower()
    # "openai/gpt-oss-120b" and "accounts/x/models/y" end with the family's own name.
    last = name.rpartition("/")[2]
    names = {name, last, f"{backend}:{name}", f"{backend}:{last}"}
    return [
        len(pattern.replace("*", ""))
        for pattern in profile.models
        if any(fnmatchcase(name, pattern) for name in names)
    ]


def _laid_over(profile: ModelProfile, layer: ModelProfile) -> ModelProfile:
    facts = {name: value for name in _FACTS if (value := getattr(layer, name)) is not None}
    return replace(profile, **facts, as_of=layer.as_of, source=layer.source)
