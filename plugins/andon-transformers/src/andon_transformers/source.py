"""Where a model's files lie: a folder, a GGUF file, or a repository of the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from andon.errors import ModelLoadError, PrivacyViolation
from andon_transformers.options import Options

#: Files of a repository that a model can be loaded from; code is not among them.
_NEEDED = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "tokenizer*")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """Files of a model.

    :param folder: the folder that they lie in.
    :param gguf_file: name of the one GGUF file in it that holds the model, or None.
    """

    folder: Path
    gguf_file: str | None = None


def find_source(name: str, path: Path, options: Options, *, offline: bool) -> Source:
    """Return the files of a model.

    :param name: what was asked for; the name of a repository, as in ``owner/model``, where no
        file has that path.
    :param path: where the files lie: a folder, or a GGUF file.
    :param options: say whether a repository may be downloaded.
    :param offline: nothing may leave the machine, whatever the options say.
    :raises ModelLoadError: there are no such files.
    :raises PrivacyViolation: they would have to be downloaded, and nothing may leave the machine.
    """
    if path.is_file():
        return _in_file(path)
    if path.is_dir():
        return _in_folder(path)
    if _REPOSITORY.fullmatch(name):
        return _in_folder(_repository(name, options, offline))
    raise ModelLoadError(
        f"there is no folder or GGUF file {str(path)!r}; "
        "give the path of one, as in transformers:/path/to/folder"
    )


def _in_file(file: Path) -> Source:
    with file.open("rb") as opened:
        magic = opened.read(4)
    if magic == b"GGUF":
        return Source(file.parent, file.name)
    if file.suffix == ".gguf":
        raise ModelLoadError(f"{str(file)!r} is damaged: it does not begin as a GGUF file does")
    raise ModelLoadError(
        f"{str(file)!r} is not a GGUF file; give the folder that holds config.json"
    )


def _in_folder(folder: Path) -> Source:
    if (folder / "config.json").is_file():
        return Source(folder)
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return _in_file(files[0])
    if files:
        names = ", ".join(file.name for file in files)
        raise ModelLoadError(
            f"{str(folder)!r} holds several GGUF files ({names}); give one of them"
        )
    raise ModelLoadError(f"{str(folder)!r} holds no model: there is no config.json in it")


def _repository(name: str, options: Options, offline: bool) -> Path:
    """Return the folder of a repository: from the cache, or downloaded where that is allowed."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    revision = options.revision
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        _demand_download(name, options.download, offline)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_NEEDED)))
    except Exception as error:
        raise ModelLoadError(f"{name!r} cannot be downloaded: {error}") from error


def _demand_download(name: str, download: bool, offline: bool) -> None:
    if offline and download:
        raise PrivacyViolation(
            f"{name!r} is not on this machine, and the privacy tier lets nothing leave it, "
            "a download included; download the model beforehand and give its folder"
        )
    if not download:
        raise ModelLoadError(
            f"there is no folder {name!r}, and no downloaded copy of a model of that name; "
            "give a folder, or set the option download = true"
        )
