"""Which certificates to trust."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from andon.errors import SettingsError

if TYPE_CHECKING:
    import ssl

#: Where distributions keep the certificates of authorities, if OpenSSL was built for elsewhere.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@lru_cache(maxsize=16)
def ssl_context(ca_file: str | None, *, tls: bool = True, http2: bool = False) -> ssl.SSLContext:
    """Return how to check certificates. The environment has no say in it.

    :param ca_file: a file of certificates to trust, or None for the system's.
    :param tls: whether any are needed.
    :param http2: whether to offer HTTP/2 as well.
    :raises SettingsError: the file cannot be used.
    """
    import ssl

    if tls and ca_file is None and sys.platform in {"darwin", "win32"}:
        context = _platform_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Without TLS it trusts no certificate at all: of no use to anybody, and safe.
        if tls:
            _load(context, ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


def _load(context: ssl.SSLContext, ca_file: str | None) -> None:
    folder = None
    if ca_file is None:
        ca_file, folder = _system_certificates()
    try:
        if ca_file or folder:
            context.load_verify_locations(ca_file, folder)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"ca_file {ca_file!r} cannot be used: {error}") from error


def _system_certificates() -> tuple[str | None, str | None]:
    """Return the file and the folder of the system's certificates."""
    import ssl

    # What OpenSSL was built with; its other names would ask the environment.
    built = ssl.get_default_verify_paths()
    file, folder = Path(built.openssl_cafile), Path(built.openssl_capath)
    filled = folder.is_dir() and any(_HASHED.fullmatch(entry.name) for entry in folder.iterdir())
    files = [file] if filled else [file, *map(Path, _BUNDLES)]
    found = next((str(file) for file in files if file.is_file()), None)
    return found, str(folder) if filled else None


def _platform_context() -> ssl.SSLContext:
    """Return a context that asks the operating system, where certificates are not in files."""
    import ssl

    try:
        import truststore
    except ImportError:
        # Not ssl.create_default_context(), which asks the environment for files, and for one to
        # write the keys of every connection to.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if sys.platform == "win32":
            _load_store(context)
        else:
            _load(context, None)
        return context
    system: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return system


def _load_store(context: ssl.SSLContext) -> None:
    """Trust what Windows keeps as trusted for servers."""
    import ssl

    if sys.platform == "win32":
        for certificate, encoding, purposes in ssl.enum_certificates("ROOT"):
            servers = purposes is True or (purposes and ssl.Purpose.SERVER_AUTH.oid in purposes)
            if encoding == "x509_asn" and servers:
                context.load_verify_locations(cadata=certificate)
