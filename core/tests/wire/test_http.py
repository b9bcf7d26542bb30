"""The driver's tables and habits; what it does with servers is in the tests of HTTPBackend."""

from __future__ import annotations

import subprocess
import sys

import httpx2
import pytest

from andon.errors import RequestTimeout, SettingsError, TransportError
from andon.wire.http import ConnectionSettings, HTTPConnection
from andon.wire.waits import ERRORS, Timeouts, Waits

EXCEPTIONS = [
    kind for kind in vars(httpx2).values() if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx2_has_its_error(kind: type[Exception]) -> None:
    assert any(parent.__name__ in ERRORS for parent in kind.__mro__)
    error = kind.__new__(kind, "details")
    error.args = ("details",)
    ours = Waits(Timeouts(), "http://h/v1").explain(error)
    wanted = (
        RequestTimeout
        if kind.__name__ in {"ReadTimeout", "WriteTimeout", "TimeoutException"}
        else TransportError
    )
    assert type(ours) is wanted
    assert "http://h/v1" in str(ours)


def test_there_are_exceptions_to_look_at() -> None:
    assert len(EXCEPTIONS) > 20


def test_whatever_fails_after_the_total_is_a_timeout() -> None:
    waits = Waits(Timeouts(total=-1), "http://h")
    assert isinstance(waits.explain(httpx2.ReadError("x")), RequestTimeout)
    with pytest.raises(RequestTimeout):
        waits.check()


def test_the_first_piece_may_take_longer_than_the_next() -> None:
    waits = Waits(Timeouts(first_byte=9, stall=3), "http://h")
    assert waits.read() == 9
    waits.body = True
    assert waits.read() == 3
    assert Waits(Timeouts(first_byte=None, total=5), "http://h").read() == pytest.approx(5, abs=1)


def test_importing_is_cheap() -> None:
    code = (
        "import sys, andon.wire.http, andon.backends.http_backend\n"
        "assert not {'httpx2', 'httpcore2', 'asyncio', 'ssl'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(SettingsError, match="ca_file '/no/such'"):
        HTTPConnection(ConnectionSettings(ca_file="/no/such"))
    with pytest.raises(SettingsError, match="proxy must be") as caught:
        HTTPConnection(ConnectionSettings(proxy="ftp://me:geheim@h"))
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(ConnectionSettings(proxy="http://me:geheim@h"))
