"""Loading: what is wrong with files is said, nothing is downloaded unasked, and it is quiet."""

from __future__ import annotations

import json
import logging as stdlib_logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers.utils import logging

import andon_transformers
from andon.errors import ConfigurationError, ModelLoadError, PrivacyViolation, SettingsError
from andon.specs import BackendContext
from andon_transformers.engine import TransformersEngine
from andon_transformers.loading import load


def load_at(path: Path, **options: Any) -> TransformersEngine:
    return load(str(path), path, BackendContext(options=options))


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the random model to be damaged."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def change_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON file"),
    "no kind": (lambda f: (f / "config.json").write_text("{}"), "Unrecognized model"),
    "unknown kind": (lambda f: change_config(f, model_type="nonesuch"), "nonesuch"),
    "own code": (
        lambda f: change_config(f, model_type="x", auto_map={"AutoConfig": "x.C"}),
        "needs Python code that comes with it, which andon never runs",
    ),
    "more layers": (lambda f: change_config(f, num_hidden_layers=3), "9 tensors are missing"),
    "other sizes": (lambda f: change_config(f, hidden_size=128), "weights of other sizes"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "cut weights": (lambda f: cut(f / "model.safetensors", 0.7), "damaged or truncated"),
    "empty weights": (lambda f: cut(f / "model.safetensors", 0), "damaged or truncated"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "cannot be loaded"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_explained(folder: Path, damage: str) -> None:
    harm, message = DAMAGES[damage]
    harm(folder)
    with pytest.raises(ModelLoadError, match=message) as raised:
        load_at(folder)
    assert str(folder) in str(raised.value)
    assert "trust_remote_code" not in str(raised.value)


@pytest.mark.parametrize("share", [0.999, 0.5, 0.02, 0.001, 0.000002])
def test_a_truncated_gguf_file_is_explained(demo_file: Path, tmp_path: Path, share: float) -> None:
    file = Path(shutil.copy(demo_file, tmp_path / "cut.gguf"))
    cut(file, share)
    with pytest.raises(ModelLoadError, match="damaged"):
        load_at(file)


def test_a_gguf_file_of_an_unknown_architecture_is_explained(
    demo_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(demo_file.read_bytes().replace(b"llama", b"klama"))
    with pytest.raises(ModelLoadError, match=r"cannot be loaded: .*architecture klama"):
        load_at(file)


def test_what_is_not_there_or_not_a_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="there is no folder or GGUF file"):
        load_at(tmp_path / "nothing")
    with pytest.raises(ModelLoadError, match=r"there is no config\.json"):
        load_at(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelLoadError, match=r"not a GGUF file; give the folder"):
        load_at(tmp_path / "notes.txt")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(ModelLoadError, match=r"several GGUF files \(a\.gguf, b\.gguf\)"):
        load_at(tmp_path)
    with pytest.raises(ModelLoadError, match="does not begin as a GGUF file does"):
        load_at(tmp_path / "a.gguf")


def test_a_folder_with_one_gguf_file_is_that_file(demo_file: Path, tmp_path: Path) -> None:
    shutil.copy(demo_file, tmp_path)
    engine = load_at(tmp_path, dtype="bfloat16", device="cpu")
    assert engine._loaded is not None
    assert engine._loaded._model.dtype == torch.bfloat16
    assert engine.card.context_window == 1024


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int3"},
        {"device": "abacus"},
        {"device": 1.5},
        {"threads": 0},
        {"threads": "many"},
        {"threads": True},
        {"download": "yes"},
        {"revision": 5},
    ],
)
def test_a_wrong_option_is_named(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"the option {next(iter(options))} "):
        load_at(folder, **options)


def test_an_unknown_option_is_refused_before_anything_is_loaded() -> None:
    (spec,) = andon_transformers.andon_register_backends()
    with pytest.raises(SettingsError, match="no option 'dtpye'; it has device, dtype"):
        spec.create(BackendContext(options={"dtpye": "float32"}))


def test_a_device_that_is_not_there_is_explained(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        load_at(folder, device="cuda")


def test_threads_are_set_for_the_process(folder: Path) -> None:
    load_at(folder, threads=2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def refuse_network(*args: object, **kwargs: object) -> NoReturn:
    raise AssertionError("the network was asked")


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket.socket, "connect", refuse_network)
    monkeypatch.setattr(socket, "getaddrinfo", refuse_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_no_network")
def test_loading_asks_nothing_of_the_network(folder: Path, demo_file: Path) -> None:
    load_at(folder).close()
    load_at(demo_file).close()


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("offline", [False, True])
def test_a_repository_is_not_downloaded_unasked(tmp_path: Path, offline: bool) -> None:
    context = BackendContext(offline=offline)
    with pytest.raises(ModelLoadError, match="download = true"):
        load("owner/model", tmp_path / "owner" / "model", context)


@pytest.mark.usefixtures("_no_network")
def test_offline_even_an_asked_for_download_is_refused(tmp_path: Path) -> None:
    context = BackendContext(offline=True, options={"download": True})
    with pytest.raises(PrivacyViolation, match=r"a download included; .* give its folder"):
        load("owner/model", tmp_path / "owner" / "model", context)


class Hub:
    """Stands for the download function; what it holds can be in the cache or not."""

    def __init__(self, folder: Path, *, cached: bool, known: bool = True) -> None:
        self.folder, self.cached, self.known = folder, cached, known
        self.downloads: list[dict[str, Any]] = []

    def __call__(self, name: str, *, local_files_only: bool = False, **rest: Any) -> str:
        if local_files_only:
            if not self.cached:
                raise LocalEntryNotFoundError("not here")
            return str(self.folder)
        self.downloads.append({"name": name, **rest})
        if not self.known:
            raise OSError("404: no such repository")
        return str(self.folder)


def load_from(hub: Hub, monkeypatch: pytest.MonkeyPatch, **options: Any) -> TransformersEngine:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    context = BackendContext(offline=False, options=options)
    return load("owner/model", Path("/nowhere/owner/model"), context)


def test_a_downloaded_copy_is_used_without_asking(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(folder, cached=True)
    assert load_from(hub, monkeypatch).card.name == "owner/model"
    assert hub.downloads == []


def test_an_asked_for_download_brings_no_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(folder, cached=False)
    engine = load_from(hub, monkeypatch, download=True, revision="v1")
    assert engine.card.name == "owner/model"
    (download,) = hub.downloads
    assert (download["name"], download["revision"]) == ("owner/model", "v1")
    assert not any(pattern.endswith((".py", ".bin")) for pattern in download["allow_patterns"])


def test_a_failed_download_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(folder, cached=False, known=False)
    with pytest.raises(ModelLoadError, match="cannot be downloaded: 404"):
        load_from(hub, monkeypatch, download=True)


def test_loading_is_quiet_and_leaves_logging_as_it_was(
    demo_file: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.enable_progress_bar()
    verbosity = logging.get_verbosity()
    root = stdlib_logging.getLogger().level
    load_at(folder)
    load_at(demo_file)
    with pytest.raises(ConfigurationError):
        load_at(folder.parent / "nothing")
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == verbosity
    assert logging.is_progress_bar_enabled()
    assert stdlib_logging.getLogger().level == root
