"""The worker process for Jinja templates, from the outside: start, ask, kill.

A process is the only cage that holds: no check inside the interpreter bounds what a template can
take of memory and time. The worker gets no environment variables, no files and no network code,
and where the system knows such limits (not on Windows) it may open no file and start no process.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.errors import ConfigurationError, UnsafeTemplateError

_LEAST_JINJA = (3, 1, 6)
_INSTALL = 'Jinja chat templates need jinja2 3.1.6 or later; run: pip install "andon[jinja]"'
_SYSTEM_VARIABLES = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one render may take.

    :param seconds: of the wall clock.
    :param cpu_seconds: of computing.
    :param memory_bytes: of address space, the interpreter's own included.
    :param characters: of the prompt.
    """

    seconds: float = 5.0
    cpu_seconds: int = 3
    memory_bytes: int = 768 * 1024 * 1024
    characters: int = 16 * 1024 * 1024


def require_jinja() -> None:
    """Check, without importing it, that a jinja2 without known escapes is installed.

    :raises ConfigurationError: it is not.
    """
    try:
        version = importlib.metadata.version("jinja2")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(_INSTALL) from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < _LEAST_JINJA:
        raise ConfigurationError(f"{_INSTALL}; {version} has known ways out of its sandbox")


class Sandbox:
    """One worker, started at its first use and again after it was killed.

    :param limits: how much one render may take.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._known: set[str] = set()
        self._end: weakref.finalize[[subprocess.Popen[bytes], int], Sandbox] | None = None

    def ask(self, key: str, source: str, context: dict[str, Any], now: str) -> dict[str, Any]:
        """Render a template in the worker, and return the worker's answer.

        :param key: what tells this template from others.
        :param source: the template.
        :param context: what it may read: plain JSON.
        :param now: the time that it may read, in ISO form.
        :raises UnsafeTemplateError: it took more than it may.
        """
        request = {"key": key, "template": None, "context": context, "now": now}
        with self._lock:
            self._ensure()
            request["template"] = None if key in self._known else source
            answer = self._exchange(request)
            if "missing" in answer:
                answer = self._exchange({**request, "template": source})
            self._known.add(key)
        return answer

    def close(self) -> None:
        """End the worker. It starts again if it is asked again."""
        self._process = None
        if self._end is not None:
            self._end()

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(self._limits.seconds, process.kill)
        watch.daemon = True
        watch.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        finally:
            watch.cancel()
        if not line.endswith(b"\n"):
            self.close()
            raise UnsafeTemplateError(
                "the chat template took more time or memory than it may, and was stopped"
            )
        answer: dict[str, Any] = json.loads(line)
        if answer.get("error") == "unsafe":
            # What it took may not all have been given back.
            self.close()
        return answer

    def _ensure(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            if self._process.poll() is None:
                return
            self.close()
        # After a fork the child must not share its parent's worker.
        self._process = self._start()
        self._owner = os.getpid()
        self._known = set()
        # Runs at close(), when the sandbox is collected, and at the end of the program.
        self._end = weakref.finalize(self, _end, self._process, self._owner)

    def _start(self) -> subprocess.Popen[bytes]:
        limits = {
            "characters": self._limits.characters,
            "cpu_seconds": self._limits.cpu_seconds,
            "memory_bytes": self._limits.memory_bytes,
        }
        worker = str(Path(__file__).with_name("sandbox_worker.py"))
        environment = {k: os.environ[k] for k in _SYSTEM_VARIABLES if k in os.environ}
        return subprocess.Popen(
            [sys.executable, "-I", worker, json.dumps(limits), *_jinja_folders()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    # A forked child holds a copy of the handle, but the worker is its parent's.
    if owner != os.getpid():
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # What is left in the buffer cannot reach a dead process.
            with contextlib.suppress(OSError):
                pipe.close()


def _jinja_folders() -> list[str]:
    folders = []
    for package in ("jinja2", "markupsafe"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ConfigurationError(_INSTALL)
        folders.append(str(Path(spec.origin).parent.parent))
    return list(dict.fromkeys(folders))
