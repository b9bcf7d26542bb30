"""The file of answers, which is the journal of a batch as well."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from andon.batch.files import APPENDING, lines_of, sync_folder, write_all
from andon.batch.records import BatchAnswer
from andon.errors import InvalidRequestError

#: The letters of a JSON text that cannot stand in a file of UTF-8: halves of a pair.
_ERRORS = "backslashreplace"


class AnswerFile:
    """Answers on disk. One process at a time has it open.

    :param path: the file; what it holds already counts as answered.
    :param known: the names of all requests.
    :param retry_errors: whether lines that say what went wrong are taken out, to ask again.
    :raises InvalidRequestError: another process answers into the file, or it belongs to other
        requests.
    :raises OSError: it cannot be written.
    """

    def __init__(self, path: Path, known: Collection[str], *, retry_errors: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = _open_alone(path)
        try:
            #: The names of requests that are answered, and how many of those answers are errors.
            self.done: set[str] = set()
            self.failed = 0
            self._take(known)
            if retry_errors and self.failed:
                self._drop_errors()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, answers: Sequence[BatchAnswer]) -> None:
        """Write answers; when this returns, they are on the disk.

        :param answers: what is written, in one piece.
        """
        text = "".join(f"{answer.line}\n" for answer in answers)
        with self._lock:
            size = os.fstat(self._file).st_size
            try:
                write_all(self._file, text.encode("utf-8", _ERRORS))
                os.fsync(self._file)
            except OSError:
                # Half a line must not stand before the next one.
                os.ftruncate(self._file, size)
                raise
            self.done.update(answer.custom_id for answer in answers)
            self.failed += sum(answer.failed for answer in answers)

    def close(self) -> None:
        """Let another process have the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, known: Collection[str]) -> None:
        """Read what was answered; repair a last line that was only half written."""
        whole = 0
        for number, line in lines_of(self._path):
            name, is_error = _read(line)
            if name is None:
                if line.endswith(b"\n"):
                    raise InvalidRequestError(
                        f"{self._path}, line {number}: this is no answer of a batch; "
                        "name another file for the answers"
                    )
                break
            self._check(name, known, number)
            self.done.add(name)
            self.failed += is_error
            whole += len(line)
            if not line.endswith(b"\n"):
                # The answer is all there: only its line break is missing.
                write_all(self._file, b"\n")
                return
        os.ftruncate(self._file, whole)

    def _check(self, name: str, known: Collection[str], number: int) -> None:
        if name not in known:
            raise InvalidRequestError(
                f"{self._path}, line {number}: no request is called {name!r}; "
                "this file has the answers of another batch"
            )
        if name in self.done:
            raise InvalidRequestError(f"{self._path}, line {number}: {name!r} is answered twice")

    def _drop_errors(self) -> None:
        """Write the file anew, without the lines that say what went wrong."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        new = os.open(temporary, APPENDING | os.O_TRUNC, 0o666)
        try:
            _lock(new)
            self.done.clear()
            for _, line in lines_of(self._path):
                name, is_error = _read(line)
                if name is not None and not is_error:
                    write_all(new, line)
                    self.done.add(name)
            os.fsync(new)
            temporary.replace(self._path)
            sync_folder(self._path)
        except BaseException:
            os.close(new)
            temporary.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self.failed = new, 0


def _open_alone(path: Path) -> int:
    """Open a file that nobody else answers into."""
    while True:
        file = os.open(path, APPENDING, 0o666)
        try:
            _lock(file)
            # Somebody may have put another file in its place since.
            if os.fstat(file).st_ino == path.stat().st_ino:
                sync_folder(path)
                return file
        except BlockingIOError:
            os.close(file)
            raise InvalidRequestError(f"{path}: another process answers into this file") from None
        except FileNotFoundError:
            pass
        os.close(file)


def _file_lock() -> Callable[[int], None]:
    if sys.platform == "win32":
        return lambda file: None
    import fcntl

    # Goes with the process, however that ends.
    return lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_lock = _file_lock()


def _read(line: bytes) -> tuple[str | None, bool]:
    """Return the name of the request that a line answers, or None, and whether it failed."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None, False
    match record:
        case {"custom_id": str(name), "response": _, "error": error}:
            return name, error is not None
    return None, False
