"""Which keys are there; none of them is shown."""

from __future__ import annotations

import os
from collections.abc import Sequence

from andon.errors import ConfigurationError
from andon_cli.app import App
from andon_cli.checks import Check, State
from andon_cli.commands.keys import KeyState, key_states
from andon_cli.key_store import KeyStore


def check(app: App) -> Sequence[Check]:
    """Look for the keys that installed backends read."""
    store = KeyStore.of(os.environ)
    return [_check(state, store) for state in key_states(app)]


def _check(state: KeyState, store: KeyStore) -> Check:
    readers = "for " + ", ".join(state.backends) if state.backends else "no backend reads it"
    if not state.place:
        return Check(state.variable, State.OFF, f"not set; {readers}")
    if state.place == "keyring":
        try:
            gone = store.get(state.variable) is None
        except ConfigurationError as error:
            return Check(state.variable, State.FAILED, str(error))
        if gone:
            advice = f"it is no longer in the keyring; andon keys set {state.variable}"
            return Check(state.variable, State.FAILED, advice)
    return Check(state.variable, State.OK, f"in the {state.place}; {readers}")
