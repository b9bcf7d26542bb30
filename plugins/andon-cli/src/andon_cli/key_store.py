"""API keys in the system's keyring, and an environment that finds them there.

A keyring does not tell what is in it, and may ask its user to unlock it. So the names of what was
put there, and only the names, stand in a file; without a name in it no keyring is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from andon.errors import ConfigurationError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

#: What the keyring's own program lists the keys under.
SERVICE = "andon"

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class KeyStore:
    """Keys by the names of environment variables.

    :param file: holds the names.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> KeyStore:
        """Return the user's own.

        :param environment: says where their configuration lies.
        """
        base = environment.get("XDG_CONFIG_HOME") or "~/.config"
        return cls(Path(base).expanduser() / "andon" / "keyring-names")

    def names(self) -> frozenset[str]:
        """Return the names of the keys that were put into the keyring."""
        try:
            return frozenset(self._file.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError):
            return frozenset()

    def get(self, name: str) -> str | None:
        """Return a key, or None where there is none.

        :raises ConfigurationError: the keyring cannot be read.
        """
        if name not in self.names():
            return None
        with _speaking(f"read {name} from") as ring:
            return ring.get_password(SERVICE, name)

    def put(self, name: str, key: str) -> None:
        """Put a key into the keyring.

        :param name: the environment variable whose place it takes.
        :param key: the key.
        :raises ConfigurationError: there is no keyring, or it does not take the key.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is no environment variable, as GROQ_API_KEY is")
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError("a key is printable ASCII without blanks, and not empty")
        with _speaking(f"put {name} into") as ring:
            ring.set_password(SERVICE, name, key)
        self._write(self.names() | {name})

    def remove(self, name: str) -> bool:
        """Remove a key, and return whether there was one.

        :param name: the environment variable whose place it takes.
        :raises ConfigurationError: the keyring cannot be reached.
        """
        names = self.names()
        if name not in names:
            return False
        with _speaking(f"remove {name} from") as ring:
            if ring.get_password(SERVICE, name) is not None:
                ring.delete_password(SERVICE, name)
        self._write(names - {name})
        return True

    def _write(self, names: frozenset[str]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # In one step, so that nobody reads half of it.
        fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        fresh.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
        fresh.replace(self._file)


class KeyringEnvironment(Mapping[str, str]):
    """Environment variables, and behind them the keyring.

    Whoever goes through all of them gets the variables only: a keyring answers for a name.

    :param variables: the environment variables.
    :param store: the keys.
    """

    def __init__(self, variables: Mapping[str, str], store: KeyStore) -> None:
        self._variables = variables
        self._store = store
        self._found: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        # An empty variable is none, for whoever reads a key.
        if value := self._variables.get(name):
            return value
        if name not in self._found:
            self._found[name] = self._store.get(name)
        found = self._found[name]
        return self._variables[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


@contextmanager
def _speaking(what: str) -> Iterator[KeyringBackend]:
    """Give the keyring; say in words what goes wrong with it."""
    try:
        import keyring
    except ImportError:
        raise ConfigurationError(
            f"andon cannot {what} a keyring without the library for it: "
            "pip install 'andon-cli[keyring]'"
        ) from None
    from keyring.errors import KeyringError, NoKeyringError

    try:
        yield keyring.get_keyring()
    except NoKeyringError:
        raise ConfigurationError(
            f"andon cannot {what} a keyring, since this system has none; "
            "set the environment variable instead"
        ) from None
    # A keyring asks a service of the system, and any part of that may be missing.
    except (KeyringError, OSError, RuntimeError) as error:
        raise ConfigurationError(f"andon cannot {what} the keyring: {error}") from error
