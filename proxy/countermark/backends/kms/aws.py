"""AWS KMS: Encrypt and Decrypt with an encryption context, which CloudTrail shows with each use.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from countermark.core.errors import ConfigurationInvalid, Fault, KmsUnavailable
from countermark.keys.sealed import Context

SECONDS = 5
ATTEMPTS = 3

_REGION = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):")


class AwsKms:
    """One symmetric key, by its ARN. Credentials come from the environment's chain (environment, files, role)."""

    scheme = "aws"

    def __init__(self, key: str, *, region: str = "", endpoint: str = "") -> None:
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            message = "aws: needs boto3; `pip install countermark[aws]` brings it"
            raise ConfigurationInvalid([Fault(path="kms", message=message)]) from None
        named = _REGION.match(key)
        region = region or (named[1] if named else "")
        if not region:
            raise ConfigurationInvalid(
                [Fault(path="kms", message="aws: needs a key's ARN, or ?region=… beside its id")]
            )
        config = Config(
            connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": ATTEMPTS, "mode": "standard"}
        )
        self._client = boto3.client("kms", region_name=region, endpoint_url=endpoint or None, config=config)
        self._key = key

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        answer = _asked(self._client.encrypt, KeyId=self._key, Plaintext=data_key, EncryptionContext=dict(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        # The key is named, so that a text which was wrapped by a stranger's key is not opened by that one.
        answer = _asked(self._client.decrypt, KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext=dict(context))
        return bytes(answer["Plaintext"])


def _asked(call: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("InvalidCiphertextException", "IncorrectKeyException"):
            raise ValueError("AWS KMS: this was not wrapped with this key and context") from None
        raise KmsUnavailable(f"AWS KMS refused: {code}") from None
    except BotoCoreError as error:
        raise KmsUnavailable(f"AWS KMS cannot be asked: {error}") from None
