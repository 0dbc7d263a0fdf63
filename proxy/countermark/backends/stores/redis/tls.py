"""What is trusted, and shown, where a Redis is asked over TLS."""

from __future__ import annotations

import ssl

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.store_url import RedisUrl


def tls_context(url: RedisUrl) -> ssl.SSLContext:
    """For connections that verify the server's chain and name, by the authorities of `cacert` alone where it is given, else
    by the system's. Raises ConfigurationInvalid for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=url.cacert or None)
    except OSError as error:
        raise _unusable("cacert", error) from None
    if url.cert:
        try:
            # Without a password of its own OpenSSL would ask for that of an encrypted key at the terminal.
            context.load_cert_chain(url.cert, url.key or None, password="")
        except OSError as error:
            raise _unusable("cert or key", error) from None
    return context


def _unusable(option: str, error: OSError) -> ConfigurationInvalid:
    message = f"its {option} names a file that cannot be used: {error.strerror}"
    return ConfigurationInvalid([Fault(path="store", message=message)])
