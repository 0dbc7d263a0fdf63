"""All dialects by name. A site lists those that it accepts; a request never chooses beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from countermark.keys.keyfile import OWN_USES, KeyUse
from countermark.settings.option import DialectUse
from countermark.signing.akamai import AkamaiEdgeAuth
from countermark.signing.azure_blob_sas import AzureBlobSAS
from countermark.signing.bunny import BunnyBasic, BunnyHMAC, BunnySHA256Legacy
from countermark.signing.cloudflare_images import CloudflareImages
from countermark.signing.cloudflare_timed import CloudflareTimedHMAC
from countermark.signing.cloudfront import CloudFront, CloudFrontCookie
from countermark.signing.cloudinary import Cloudinary, CloudinaryAuthToken
from countermark.signing.dialect import Dialect
from countermark.signing.fastly import FastlyToken
from countermark.signing.gcp_cdn import GCPCDN, GCPCDNCookie
from countermark.signing.gcp_media_cdn import MediaCDN, MediaCDNCookie, MediaCDNToken
from countermark.signing.imagekit import ImageKit
from countermark.signing.imageproxy import ImageProxy
from countermark.signing.imgix import Imgix
from countermark.signing.imgproxy import Imgproxy
from countermark.signing.keycdn import KeyCDNAccess, KeyCDNImage
from countermark.signing.native import Native
from countermark.signing.nginx import NginxSecureLink, NginxSecureLinkHMAC, NginxSecureLinkSecret
from countermark.signing.ogimage import OGImage
from countermark.signing.pixel_fiddler import PixelFiddler
from countermark.signing.retail_digitals import RetailDigitals
from countermark.signing.rfc9421 import MessageSignature
from countermark.signing.s3_sigv4 import S3SigV4
from countermark.signing.thumbor import IMAGOR, THUMBOR

DIALECTS: Mapping[str, Dialect] = {
    "native": Native(),
    "akamai_edgeauth": AkamaiEdgeAuth(),
    "azure_blob_sas": AzureBlobSAS(),
    "bunny_basic": BunnyBasic(),
    "bunny_hmac": BunnyHMAC(),
    "bunny_sha256_legacy": BunnySHA256Legacy(),
    "cloudflare_images": CloudflareImages(),
    "cloudflare_timed_hmac": CloudflareTimedHMAC(),
    "cloudfront": CloudFront(),
    "cloudfront_cookie": CloudFrontCookie(),
    "cloudinary": Cloudinary(),
    "cloudinary_auth_token": CloudinaryAuthToken(),
    "fastly_token": FastlyToken(),
    "gcp_cdn": GCPCDN(),
    "gcp_cdn_cookie": GCPCDNCookie(),
    "gcp_media_cdn": MediaCDN(),
    "gcp_media_cdn_cookie": MediaCDNCookie(),
    "gcp_media_cdn_token": MediaCDNToken(),
    "imagekit": ImageKit(),
    "imageproxy": ImageProxy(),
    "imagor": IMAGOR,
    "imgix": Imgix(),
    "imgproxy": Imgproxy(),
    "keycdn_access": KeyCDNAccess(),
    "keycdn_image": KeyCDNImage(),
    "nginx_secure_link": NginxSecureLink(),
    "nginx_secure_link_hmac": NginxSecureLinkHMAC(),
    "nginx_secure_link_secret": NginxSecureLinkSecret(),
    "ogimage": OGImage(),
    "pixel_fiddler": PixelFiddler(),
    "retail_digitals": RetailDigitals(),
    "rfc9421": MessageSignature(),
    "s3_sigv4": S3SigV4(),
    "thumbor": THUMBOR,
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
} | dict(OWN_USES)
"""What the keyring file may hold, for `keys.keyfile.load`."""

SITE_USES: Mapping[str, DialectUse] = {
    name: DialectUse(options=dialect.options, signs_base_url=dialect.capabilities.signs_base_url)
    for name, dialect in DIALECTS.items()
}
"""What a site may and must set for its dialects, for `settings.load`."""
