"""All dialects by name. A site lists those that it accepts; a request never chooses beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from countermark.keys.keyfile import KeyUse
from countermark.signing.dialect import Dialect
from countermark.signing.keycdn import KeyCDNAccess, KeyCDNImage
from countermark.signing.native import Native

DIALECTS: Mapping[str, Dialect] = {
    "native": Native(),
    "keycdn_image": KeyCDNImage(),
    "keycdn_access": KeyCDNAccess(),
}

KEY_USES: Mapping[str, KeyUse] = {
    name: KeyUse(dialect.capabilities.algorithms, dialect.capabilities.key_ids) for name, dialect in DIALECTS.items()
}
"""What the keyring file may hold, for `keys.keyfile.load`."""
