"""The process in which Jinja templates of models run. It imports nothing of andon.

It reads one JSON request a line and writes one JSON answer a line::

    {"template": text or null, "key": hash, "context": {...}, "now": iso time}
    {"text": prompt} | {"error": kind, "message": text} | {"missing": key}

``andon.templates.sandbox`` starts it, limits its time, and kills it where it goes too far.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

# Windows has no such limits; the wall clock's, which the parent keeps, remains.
if sys.platform != "win32":
    import resource

# The parent names the folders that hold jinja2, since isolated mode ignores its PYTHONPATH.
sys.path.extend(sys.argv[2:])

import jinja2
import jinja2.debug
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.ext import loopcontrols as LoopControls  # noqa: N812
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_MOST_TEMPLATES = 32
_PADDING = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs"})
_WIDTH = re.compile(r"\d{5,}|\*")


class RaisedError(Exception):
    """The template itself refuses the messages."""


class _Generation(Extension):
    """``{% generation %}`` marks what a model said, for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the body as it stands."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """jinja2's sandbox, with caps on the operations that make much out of little."""

    intercepted_binops = frozenset({"*", "**", "%"})
    most = 16 * 1024 * 1024

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator unless its result would be huge."""
        if operator == "*" and isinstance(left, str | list | tuple | int):
            self._check_product(left, right)
        if operator == "**" and (abs(right) > 1024 or abs(left) > 2**64):
            raise SecurityError("a power too large")
        if operator == "%" and isinstance(left, str) and _WIDTH.search(left):
            raise SecurityError("a format too wide")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function unless it pads a text to a huge one."""
        if getattr(function, "__name__", "") in _PADDING:
            given = [*args, *kwargs.values()]
            if any(isinstance(arg, int) and arg > self.most for arg in given):
                raise SecurityError("a text too wide")
        return super().call(context, function, *args, **kwargs)

    def _check_product(self, left: Any, right: Any) -> None:
        for many, times in ((left, right), (right, left)):
            sized = isinstance(many, str | list | tuple) and isinstance(times, int)
            if sized and len(many) * times > self.most:
                raise SecurityError("a repetition too long")
        numbers = isinstance(left, int) and isinstance(right, int)
        if numbers and left.bit_length() + right.bit_length() > 65536:
            raise SecurityError("a number too large")


def _raise_exception(message: Any = "") -> None:
    raise RaisedError(str(message))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _center(value: Any, width: int = 80) -> str:
    if width > _Environment.most:
        raise SecurityError("a text too wide")
    return str(value).center(width)


def _environment() -> _Environment:
    environment = _Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, LoopControls]
    )
    environment.filters["tojson"] = _tojson
    environment.filters["center"] = _center
    # Makes as much text as it is asked for, and no chat template needs it.
    del environment.globals["lipsum"]
    environment.globals["raise_exception"] = _raise_exception
    return environment


class Worker:
    """Compiles templates once, and renders them within the limits.

    :param most_characters: most characters of a prompt.
    :param cpu_seconds: most seconds of computing for one render.
    """

    def __init__(self, most_characters: int, cpu_seconds: int) -> None:
        self._most_characters = most_characters
        self._cpu_seconds = cpu_seconds
        self._environment = _environment()
        self._templates: OrderedDict[str, jinja2.Template] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        _limit_cpu(self._cpu_seconds)
        try:
            template = self._template(request["key"], request["template"])
            if template is None:
                return {"missing": request["key"]}
            now = datetime.datetime.fromisoformat(request["now"])
            context = {"strftime_now": now.strftime, **request["context"]}
            return {"text": self._capped(template.generate(**context))}
        except RaisedError as error:
            return {"error": "refused", "message": str(error)[:1000]}
        except (SecurityError, RecursionError, MemoryError) as error:
            return {"error": "unsafe", "message": f"{type(error).__name__}: {error}"[:300]}
        except jinja2.TemplateSyntaxError as error:
            return {"error": "syntax", "message": f"line {error.lineno}: {error.message}"[:300]}
        except Exception as error:  # noqa: BLE001 a template can make anything fail, and only itself
            return {"error": "failed", "message": f"{type(error).__name__}: {error}"[:300]}

    def _template(self, key: str, source: str | None) -> jinja2.Template | None:
        if key in self._templates:
            self._templates.move_to_end(key)
        elif source is not None:
            self._templates[key] = self._environment.from_string(source)
            if len(self._templates) > _MOST_TEMPLATES:
                self._templates.popitem(last=False)
        return self._templates.get(key)

    def _capped(self, pieces: Iterator[str]) -> str:
        written, size = [], 0
        for piece in pieces:
            size += len(piece)
            if size > self._most_characters:
                raise SecurityError("a prompt too long")
            written.append(piece)
        return "".join(written)


def _limit_cpu(seconds: int) -> None:
    # The limit counts from the start of the process, so every request moves it.
    if sys.platform != "win32":
        soft = math.ceil(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _limit(memory_bytes: int) -> None:
    """Take away what rendering does not need: memory, files, processes."""
    if sys.platform == "win32":
        return
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, most in limits.items():
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue


def _serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        try:
            written = json.dumps(answer(json.loads(line)))
        except (MemoryError, RecursionError) as error:
            written = json.dumps({"error": "unsafe", "message": type(error).__name__})
        sys.stdout.write(written + "\n")
        sys.stdout.flush()


def main() -> None:
    """Serve requests until the input ends."""
    # Ctrl-C in a terminal is meant for the program that started this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = json.loads(sys.argv[1])
    worker = Worker(limits["characters"], limits["cpu_seconds"])
    # One render loads whatever is loaded late, before files are out of reach.
    warm = {"key": "", "template": "{{ strftime_now('%d %b %Y') }}{{ [1]|tojson }}"}
    worker.answer({**warm, "context": {}, "now": "2000-01-01"})
    _limit(limits["memory_bytes"])
    _serve(worker.answer)


if __name__ == "__main__":
    main()
