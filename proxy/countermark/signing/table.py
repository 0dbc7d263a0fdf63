"""All dialects by name. A site lists those that it accepts; a request never chooses beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from countermark.keys.keyfile import KeyUse
from countermark.settings.option import Option
from countermark.signing.dialect import Dialect
from countermark.signing.keycdn import KeyCDNAccess, KeyCDNImage
from countermark.signing.native import Native
from countermark.signing.ogimage import OGImage
from countermark.signing.pixel_fiddler import PixelFiddler
from countermark.signing.retail_digitals import RetailDigitals

DIALECTS: Mapping[str, Dialect] = {
    "native": Native(),
    "keycdn_image": KeyCDNImage(),
    "keycdn_access": KeyCDNAccess(),
    "ogimage": OGImage(),
    "pixel_fiddler": PixelFiddler(),
    "retail_digitals": RetailDigitals(),
}

KEY_USES: Mapping[str, KeyUse] = {
    name: KeyUse(
        algorithms=dialect.capabilities.algorithms,
        key_ids=dialect.capabilities.key_ids,
        forms=dialect.capabilities.forms,
        least_secret=dialect.capabilities.least_secret,
        salted=dialect.capabilities.salted,
        private_once=dialect.capabilities.private_once,
    )
    for name, dialect in DIALECTS.items()
}
"""What the keyring file may hold, for `keys.keyfile.load`."""

OPTIONS: Mapping[str, tuple[Option, ...]] = {name: dialect.options for name, dialect in DIALECTS.items()}
"""What `sites[].dialects` may hold, for `settings.load`."""
