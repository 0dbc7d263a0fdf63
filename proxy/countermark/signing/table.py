"""All dialects by name. A site lists those that it accepts; a request never chooses beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from countermark.keys.keyfile import KeyUse
from countermark.settings.option import Option
from countermark.signing.cloudinary import Cloudinary, CloudinaryAuthToken
from countermark.signing.dialect import Dialect
from countermark.signing.imagekit import ImageKit
from countermark.signing.imageproxy import ImageProxy
from countermark.signing.imgix import Imgix
from countermark.signing.imgproxy import Imgproxy
from countermark.signing.keycdn import KeyCDNAccess, KeyCDNImage
from countermark.signing.native import Native
from countermark.signing.thumbor import IMAGOR, THUMBOR

DIALECTS: Mapping[str, Dialect] = {
    "native": Native(),
    "cloudinary": Cloudinary(),
    "cloudinary_auth_token": CloudinaryAuthToken(),
    "imagekit": ImageKit(),
    "imageproxy": ImageProxy(),
    "imagor": IMAGOR,
    "imgix": Imgix(),
    "imgproxy": Imgproxy(),
    "keycdn_image": KeyCDNImage(),
    "keycdn_access": KeyCDNAccess(),
    "thumbor": THUMBOR,
}

KEY_USES: Mapping[str, KeyUse] = {
    name: KeyUse(
        algorithms=dialect.capabilities.algorithms,
        key_ids=dialect.capabilities.key_ids,
        forms=dialect.capabilities.forms,
        least_secret=dialect.capabilities.least_secret,
        salted=dialect.capabilities.salted,
    )
    for name, dialect in DIALECTS.items()
}
"""What the keyring file may hold, for `keys.keyfile.load`."""

OPTIONS: Mapping[str, tuple[Option, ...]] = {name: dialect.options for name, dialect in DIALECTS.items()}
"""What `sites[].dialects` may hold, for `settings.load`."""
