"""Sessions: from login to logout, with a signing seed of their own."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.errors import ElementMissing
from countermark.core.grant import Claims

KEY_ID = re.compile(r"ses_([A-Za-z0-9_-]{16,64})\.([0-9]{1,6})")
"""The key id by which a client signs with its session's seed: ses_SESSION.GENERATION."""


class Session(Struct, frozen=True, kw_only=True):
    """One session as the store keeps it.

    id            random, hexadecimal
    generation    counts refreshes from 1; the seed of an earlier generation signs nothing any more
    sealed        the present seed, sealed with the session id and generation as additional data
    site          the one site that its signatures open
    template      the policy template that it was made for, "" for the site's own
    created, expires, ended   unix seconds; ended is None while it lives
    """

    id: str
    generation: int
    sealed: bytes
    site: str
    user: str
    client_id: str = ""
    template: str = ""
    created: float
    expires: int
    ended: float | None = None

    def lives(self, now: float) -> bool:
        """Whether what is bound to it counts at `now`."""
        return self.ended is None and now <= self.expires

    @property
    def key_id(self) -> str:
        return f"ses_{self.id}.{self.generation}"


def told_by(session: Session, claims: Claims) -> Claims:
    """The claims of a URL that stands on a session, with what the session says of its holder.

    Raises ElementMissing where the URL says otherwise: a client signs with his own seed, and could write another's name.
    """
    told = ((claims.session, session.id), (claims.user, session.user), (claims.client_id, session.client_id))
    if any(said and said != known for said, known in told):
        raise ElementMissing("The URL names another session, user or client than the session that signs it.")
    return replace(claims, session=session.id, user=session.user, client_id=session.client_id)
