"""TLS of the listening server: its certificate and key, and what is wrong with them in words."""

import ssl
from pathlib import Path
from typing import Final, NoReturn

from mimocode.errors import Invalid

_CERT: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"
_LOCKED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


def tls(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and later with this certificate (its chain behind it) and its key, both PEM. Raises `Invalid`."""
    said, secret = _read("--tls-cert", cert), _read("--tls-key", key)
    if _CERT not in said:
        what = "a key, not a certificate: are the two swapped?" if _KEY in said else "no certificate in PEM form."
        raise Invalid(f"--tls-cert: {cert} holds {what}")
    if _KEY not in secret:
        what = "a certificate, not a key: are the two swapped?" if _CERT in secret else "no private key in PEM form."
        raise Invalid(f"--tls-key: {key} holds {what}")
    if any(mark in secret for mark in _LOCKED):
        raise Invalid(
            f"--tls-key: {key} is locked with a passphrase, and a server has nobody to ask for it. Unlock a copy that "
            f"only its user can read: openssl pkey -in {key} -out KEY."
        )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, cert, key)
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def nobody() -> NoReturn:
        raise Invalid(f"--tls-key: {key} is locked with a passphrase, and a server has nobody to ask for it.")

    try:
        # Without a callback OpenSSL would ask for a passphrase on the terminal.
        context.load_cert_chain(cert, key, nobody)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Invalid(
                f"--tls-key: {key} is not the key of the certificate in {cert}. Name the two that belong together; in "
                "the certificate's file the server's own comes first, then its chain."
            ) from error
        raise Invalid(
            f"--tls-cert, --tls-key: {cert} and {key} cannot be used: {error.reason or error}. They must be a "
            "certificate and its key, in PEM form."
        ) from error


def _read(flag: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Invalid(f"{flag}: {file} cannot be read: {error.strerror}.") from error
