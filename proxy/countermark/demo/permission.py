"""The tour's stops about permission: who, from where, how often, until when, and taken back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from countermark.demo.files import Files
from countermark.demo.signer import DemoSigner
from countermark.demo.walk import Body, Chapter, Replies, Step
from countermark.demo.world import OTHER_BRAND, OWN_BRAND

_AT_HOME = {"X-Forwarded-For": "192.0.2.10"}
_ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}
_LIFE = 300


def permissions(sign: DemoSigner, files: Files) -> list[Chapter]:
    """All stops in order. The last ones change the gateway's files."""
    operator = _Operator(files.admin_token())
    return [
        Chapter(title="A URL that opens one time", steps=_single_use(sign)),
        Chapter(title="From where: a policy for Germany, Austria and Switzerland", steps=_places(sign)),
        Chapter(title="For whom: clients with a network, a brand and a ceiling", steps=_clients(sign)),
        Chapter(title="A user logs in, and his browser signs its own URLs", steps=_session(sign, operator)),
        Chapter(title="A URL has leaked: taken back on every worker", steps=_leak(sign, operator)),
        Chapter(title="A key is changed while pictures are shown", steps=_rotation(sign, files, operator)),
        Chapter(title="A policy is changed while pictures are shown", steps=_swap(sign, files, operator)),
    ]


def reason(name: str) -> Mapping[str, str]:
    """The header that says why."""
    return {"Countermark-Reason": name}


class _Operator:
    """Steps at the admin API by somebody who has a token."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    def does(
        self,
        title: str,
        target: str | Callable[[Replies], str],
        body: Body | Callable[[Replies], Body] | None = None,
        *,
        method: str = "POST",
        status: int = 200,
    ) -> Step:
        return Step(
            title=title,
            target=target,
            method=method,
            headers=self._headers,
            body=body or {},
            status=status,
            admin=True,
        )

    def reloads(self, title: str, edit: Callable[[], None], *, meanwhile: str) -> Step:
        """An edited file is taken up, while others keep asking for a picture."""
        return Step(
            title=title,
            target="/v1/reload",
            method="POST",
            headers=self._headers,
            status=200,
            admin=True,
            first=edit,
            meanwhile=meanwhile,
        )

    def fails_to_reload(self, title: str, edit: Callable[[], None], *, says: str) -> Step:
        """A file with a fault is not taken up, and the answer names the fault."""
        return Step(
            title=title,
            target="/v1/reload",
            method="POST",
            headers=self._headers,
            status=409,
            admin=True,
            first=edit,
            check=lambda reply: "" if says.encode() in reply.body else f"the answer does not say {says!r}",
        )


def _single_use(sign: DemoSigner) -> list[Step]:
    once = sign.native("/photos/coffee.jpg?w=410", facts={"once": secrets.token_urlsafe(16)})
    return [
        Step(
            title="a browser that fetches ahead gets nothing and spends nothing",
            target=once,
            headers={"Sec-Purpose": "prefetch"},
            status=403,
            expect=reason("single_use_refused"),
        ),
        Step(title="the first time", target=once, status=200, expect={"Cache-Control": "no-store"}),
        Step(title="the second time", target=once, status=410, expect=reason("used")),
    ]


def _places(sign: DemoSigner) -> list[Step]:
    picture, anna = "/licensed/rocket.jpg?w=400", {"uid": "anna"}
    licensed = sign.native(picture, ends=_LIFE, facts=anna)
    german = sign.native(picture, ends=_LIFE, facts={**anna, "geo": "DE"})
    return [
        Step(
            title="opened in Austria",
            target=licensed,
            headers=_country("AT"),
            status=200,
            expect={"Countermark-Template": "licensed@1"},
        ),
        Step(
            title="opened in the United States",
            target=licensed,
            headers=_country("US"),
            status=403,
            expect=reason("country_not_allowed"),
        ),
        Step(
            title="opened nobody knows where",
            target=licensed,
            status=403,
            expect=reason("country_not_allowed"),
        ),
        Step(
            title="signed for Germany, opened in Austria",
            target=german,
            headers=_country("AT"),
            status=403,
            expect=reason("country_mismatch"),
        ),
        Step(
            title="the same URL in Germany: it was seen in wrong hands, and taken back at once",
            target=german,
            headers=_country("DE"),
            status=410,
            settles=True,
            expect=reason("revoked"),
        ),
        Step(
            title="signed for no user, though the policy wants one",
            target=sign.native(picture, ends=_LIFE),
            headers=_country("AT"),
            status=403,
            expect=reason("element_missing"),
        ),
        Step(
            title="signed for an hour, though the policy allows ten minutes",
            target=sign.native(picture, facts=anna),
            headers=_country("AT"),
            status=403,
            expect=reason("lifetime_exceeded"),
        ),
    ]


def _country(code: str) -> Mapping[str, str]:
    """What the CDN in front would say."""
    return {"CF-IPCountry": code}


def _clients(sign: DemoSigner) -> list[Step]:
    own = _issued(sign, OWN_BRAND, "acme")
    hasty = _issued(sign, OWN_BRAND, "hasty")
    return [
        Step(title="acme, from its own network", target=own, headers=_AT_HOME, status=200),
        Step(
            title="acme, from another network",
            target=own,
            headers=_ELSEWHERE,
            status=403,
            expect=reason("client_ip_not_allowed"),
        ),
        Step(
            title="a client that is not registered",
            target=_issued(sign, OWN_BRAND, "stranger"),
            status=403,
            expect=reason("client_unknown"),
        ),
        Step(
            title="acme asks for a picture of another brand",
            target=_issued(sign, OTHER_BRAND, "acme"),
            headers=_AT_HOME,
            status=403,
            expect=reason("out_of_scope"),
        ),
        Step(
            title="acme asks for one that does not exist: the very same answer",
            target=_issued(sign, "rival-0000000000000.jpg", "acme"),
            headers=_AT_HOME,
            status=403,
            like="acme asks for a picture of another brand",
        ),
        Step(title="a hasty client, first request", target=hasty, status=200, expect={"RateLimit": "r=1"}),
        Step(title="a hasty client, second request", target=hasty, status=200, expect={"RateLimit": "r=0"}),
        Step(
            title="a hasty client, third request: told when to come again",
            target=hasty,
            status=429,
            expect={**reason("rate_limited"), "Retry-After": ""},
            check=lambda reply: "" if reply.headers.get("retry-after", "").isdigit() else "no Retry-After",
        ),
    ]


def _issued(sign: DemoSigner, name: str, client: str) -> str:
    return sign.native(f"/brands/{name}", facts={"cid": client})


def _session(sign: DemoSigner, operator: _Operator) -> list[Step]:
    def signed_after(title: str) -> Callable[[Replies], str]:
        return lambda replies: sign.session("/photos/rocket.jpg?w=420", replies[title].json())

    login, refresh = "login: a session, and a seed to sign with", "refresh: a new seed"
    return [
        operator.does(login, "/v1/sessions", {"site": "photos", "user": "anna", "life": 3600}, status=201),
        Step(title="signed by the browser with that seed", target=signed_after(login), status=200),
        operator.does(refresh, lambda replies: _session_of(replies, login, "/refresh"), {"generation": 1}),
        Step(title="signed with the new seed", target=signed_after(refresh), status=200),
        Step(title="signed with the old seed", target=signed_after(login), status=410, or_status=403, settles=True),
        operator.does("logout", lambda replies: _session_of(replies, login), method="DELETE"),
        Step(
            title="signed with the new seed, after the logout",
            target=signed_after(refresh),
            status=410,
            or_status=403,
            settles=True,
        ),
    ]


def _session_of(replies: Replies, login: str, action: str = "") -> str:
    return f"/v1/sessions/{replies[login].json()['id']}{action}"


def _leak(sign: DemoSigner, operator: _Operator) -> list[Step]:
    leaked = sign.native("/photos/chelsea.jpg?w=430", facts={"uid": "berta"})
    revoke: Body = {"url": leaked, "reason": "posted in a forum"}
    revoked = "revoked by its URL"
    return [
        Step(title="before: it opens", target=leaked, status=200, settles=True),
        Step(
            title="somebody without an admin token wants to revoke it",
            target="/v1/revocations",
            method="POST",
            body=revoke,
            status=401,
            admin=True,
        ),
        operator.does(revoked, "/v1/revocations", revoke, status=201),
        Step(title="it opens nowhere any more", target=leaked, status=410, settles=True, expect=reason("revoked")),
        Step(
            title="the same picture, signed for somebody else, opens on",
            target=sign.native("/photos/chelsea.jpg?w=430", facts={"uid": "anna"}),
            status=200,
        ),
        operator.does(
            "a mistake: the revocation is lifted",
            "/v1/revocations/lift",
            lambda replies: {"kind": "grant", "value": _grant(replies[revoked].json())},
            status=201,
        ),
        Step(title="it opens again", target=leaked, status=200, settles=True),
    ]


def _grant(added: Mapping[str, object]) -> object:
    revocation = added["revocation"]
    assert isinstance(revocation, dict)
    return revocation["value"]


def _rotation(sign: DemoSigner, files: Files, operator: _Operator) -> list[Step]:
    old, new = (sign.native("/photos/coffee.jpg?w=440", key=key) for key in ("demo-old", "demo-new"))
    picture = sign.native("/photos/coffee.jpg?w=400")
    return [
        Step(title="signed with the old key", target=old, status=200),
        Step(title="signed with the new key before its time", target=new, status=403, expect=reason("key_inactive")),
        operator.reloads("the new key becomes active, the old one retiring", files.rotate, meanwhile=picture),
        Step(title="signed with the new key", target=new, status=200, settles=True),
        Step(title="signed with the old key, within the overlap", target=old, status=200, settles=True),
        operator.reloads("the overlap ends: the old key is revoked", files.end_overlap, meanwhile=picture),
        Step(
            title="signed with the old key, after the overlap",
            target=old,
            status=403,
            settles=True,
            expect=reason("key_inactive"),
        ),
        Step(title="signed with the new key, as before", target=new, status=200),
    ]


def _swap(sign: DemoSigner, files: Files, operator: _Operator) -> list[Step]:
    wide = sign.native("/licensed/rocket.jpg?w=400", ends=_LIFE, facts={"uid": "berta"})
    picture = sign.native("/photos/coffee.jpg?w=400")
    austria = _country("AT")
    return [
        Step(title="400 pixels wide, as the policy allows", target=wide, headers=austria, status=200),
        operator.fails_to_reload(
            "a policy with a slip is refused, and the fault named", files.misspell_policy, says="max_widht"
        ),
        Step(title="the policy from before holds on", target=wide, headers=austria, status=200),
        operator.reloads("the next version allows 300 pixels", files.tighten_policy, meanwhile=picture),
        Step(
            title="400 pixels wide, after that",
            target=wide,
            headers=austria,
            status=403,
            settles=True,
            expect=reason("transform_refused"),
        ),
        Step(
            title="300 pixels wide",
            target=sign.native("/licensed/rocket.jpg?w=300", ends=_LIFE, facts={"uid": "berta"}),
            headers=austria,
            status=200,
            expect={"Countermark-Template": "licensed@2"},
        ),
    ]
