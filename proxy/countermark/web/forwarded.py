"""Forward authentication: another proxy asks at /verify whether it may answer a request of its own."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.answer import Answer
from countermark.core.errors import PeerUntrusted, TargetMalformed
from countermark.settings.model import ForwardAuthSettings
from countermark.web.hops import Client

PATH = "/verify"

_CLIENT_ERRORS = range(400, 500)
_UNDERSTOOD = (401, 403)


class Asked(Struct, frozen=True):
    """Method, Host field and raw target of the request that is meant."""

    method: str
    host: str
    target: str


class Forwarded:
    """Finds the original request of a question in the one set of headers that the settings name."""

    def __init__(self, settings: ForwardAuthSettings) -> None:
        self._target = settings.target.lower()
        self._host = settings.host.lower()
        self._method = settings.method.lower()
        self._only_200 = settings.only_200
        self._only_401_403 = settings.only_401_403

    def asks(self, target: str) -> bool:
        """Whether the raw target is that of a question. A query is nothing to us: Caddy leaves the viewer's there."""
        return target.startswith(PATH) and bool(self._target) and target.partition("?")[0] == PATH

    def original(self, question: Asked, headers: Mapping[str, str], client: Client) -> Asked:
        """The request that is meant. Raises PeerUntrusted, and TargetMalformed where its target is not told."""
        # Anybody else could name an address, a country or a host for which a URL of his happens to be good.
        if not client.trusted:
            raise PeerUntrusted("Only a proxy of server.trusted_proxies or server.hops may ask here.")
        if not headers.get(self._target):
            raise TargetMalformed(f"The question has no {self._target} field with the original target.", rule="missing")
        # What the viewer himself sent of these fields is not told apart: two values joined by ", " are no target.
        return Asked(
            headers.get(self._method, "") if self._method else question.method,
            headers.get(self._host, "") if self._host else question.host,
            headers[self._target],
        )

    def approval(self, answer: Answer) -> Answer:
        """The yes in the status that the asking proxy understands."""
        return replace(answer, status=200) if self._only_200 else answer

    def refusal(self, answer: Answer) -> Answer:
        """The refusal in a status that the asking proxy understands."""
        if not self._only_401_403 or answer.status not in _CLIENT_ERRORS or answer.status in _UNDERSTOOD:
            return answer
        headers = (*answer.headers, ("Countermark-Status", str(answer.status)))
        return replace(answer, status=403, headers=headers)
