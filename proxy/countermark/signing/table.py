"""All dialects by name. A site lists those that it accepts; a request never chooses beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from countermark.keys.keyfile import KeyUse
from countermark.settings.option import Option
from countermark.signing.akamai import AkamaiEdgeAuth
from countermark.signing.azure_blob_sas import AzureBlobSAS
from countermark.signing.cloudfront import CloudFront, CloudFrontCookie
from countermark.signing.dialect import Dialect
from countermark.signing.gcp_media_cdn import MediaCDN, MediaCDNCookie, MediaCDNToken
from countermark.signing.keycdn import KeyCDNAccess, KeyCDNImage
from countermark.signing.native import Native
from countermark.signing.rfc9421 import MessageSignature
from countermark.signing.s3_sigv4 import S3SigV4

DIALECTS: Mapping[str, Dialect] = {
    "native": Native(),
    "akamai_edgeauth": AkamaiEdgeAuth(),
    "azure_blob_sas": AzureBlobSAS(),
    "cloudfront": CloudFront(),
    "cloudfront_cookie": CloudFrontCookie(),
    "gcp_media_cdn": MediaCDN(),
    "gcp_media_cdn_cookie": MediaCDNCookie(),
    "gcp_media_cdn_token": MediaCDNToken(),
    "keycdn_image": KeyCDNImage(),
    "keycdn_access": KeyCDNAccess(),
    "rfc9421": MessageSignature(),
    "s3_sigv4": S3SigV4(),
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
