"""Which certificates a client believes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mimocode.errors import Invalid

if TYPE_CHECKING:
    import ssl

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def trust(ca: str | None = None) -> "ssl.SSLContext":
    """Those of the system's authorities, so that a company's own works, or only of those in the file `ca` (PEM).

    ``SSL_CERT_FILE`` stands in for the system's. Raises `Invalid`.
    """
    import ssl

    if ca is None:
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise Invalid(f"--tls-ca: {ca} holds no certificates in PEM form.") from error
    except OSError as error:
        raise Invalid(f"--tls-ca: {ca} cannot be read: {error.strerror}.") from error
    return context


def pinned(file: str) -> "ssl.SSLContext":
    """The first certificate of the file and no other; it need not name the host, as everybody who has it is known.

    Raises `Invalid`.
    """
    import ssl

    try:
        found = _FIRST.search(Path(file).read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        raise Invalid(
            f"The running server's certificate {file} cannot be read: {error.strerror}. Mend its permissions, or name "
            "the server with --attach."
        ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=found[0] if found else "")
    return context
