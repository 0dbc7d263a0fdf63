"""Sessions and their signing seeds, fetched from the store when first met and kept while nobody takes them back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from countermark.core.errors import SessionEnded
from countermark.core.target import Target
from countermark.identity.seeds import session_key
from countermark.identity.session import KEY_ID, Session
from countermark.keys.keyring import Key, Keyring
from countermark.ports import RevocationReplica, Sessions

LIMIT = 8192

_Value = TypeVar("_Value")
Unseal = Callable[[Session], bytes]


class Seeds:
    """A KeySource: the keyring's keys, and a key for each session that was met.

    What is kept here may be older than the store: a session's end, and that of a seed which a refresh has replaced, come by
    the list of revocations, within milliseconds and under the names `session` and `key`; what a refresh has changed is read
    anew then. The list stops saying so where such an entry is lifted, so after a lift everything is read anew.
    """

    def __init__(self, sessions: Sessions, unseal: Unseal, keyring: Keyring, replica: RevocationReplica) -> None:
        self._sessions = sessions
        self._unseal = unseal
        self._keyring = keyring
        self._replica = replica
        self._lifts = replica.lifts
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self.candidates = keyring.candidates

    def find(self, dialect: str, site: str, key_id: str) -> Key | None:
        """A session's key opens the session's own site by native URLs, and nothing else."""
        if not key_id.startswith("ses_"):
            return self._keyring.find(dialect, site, key_id)
        key = self._keys.get(key_id)
        if key is None or key.dialect != dialect or not key.opens(site):
            return None
        return key

    def forget(self, id: str) -> None:
        """Read this session anew when it is met again."""
        self._kept.pop(id, None)

    async def meet(self, target: Target) -> None:
        """Have the key of the session that the target names as its signer, if there is such a session.

        Raises StoreUnavailable: nobody is let in, or told that he is wrong, because nobody could look.
        """
        named = next((pair.value for pair in target.pairs if pair.name == "kid"), "")
        match = KEY_ID.fullmatch(named)
        if match is None:
            return
        self._forget_before_lift()
        if named in self._keys:
            return
        session = await self._read(match[1])
        # An earlier generation's seed is no longer in the store; a later one's was never handed out.
        if session is None or session.key_id != named:
            return
        try:
            seed = self._unseal(session)
        except ValueError:
            return
        _keep(self._keys, named, session_key(session, seed))

    async def session(self, id: str) -> Session:
        """A session by its id. Raises SessionEnded for one that nobody knows, StoreUnavailable."""
        self._forget_before_lift()
        session = self._kept.get(id) or await self._read(id)
        if session is None:
            raise SessionEnded("The session that the URL was signed for is not known.")
        return session

    def _forget_before_lift(self) -> None:
        if self._lifts == self._replica.lifts:
            return
        self._lifts = self._replica.lifts
        self._kept.clear()
        self._keys.clear()

    async def _read(self, id: str) -> Session | None:
        lifts = self._replica.lifts
        session = await self._sessions.read(id)
        if session is not None:
            _keep(self._kept, id, session)
        # Where something was lifted meanwhile, what was just read may be from before: it is not kept for the next request.
        self._lifts = min(self._lifts, lifts)
        return session


def _keep(kept: OrderedDict[str, _Value], name: str, value: _Value) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > LIMIT:
        kept.popitem(last=False)
