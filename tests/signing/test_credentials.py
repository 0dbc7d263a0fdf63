"""Whatever stands where credentials stand is read or refused, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.errors import CountermarkError
from countermark.keys.keyring import Keyring
from countermark.signing.table import DIALECTS
from tests.signing.scene import check, realm_with

PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "=",
            "~",
            ":",
            ";",
            "; ",
            ",",
            "&",
            "%00",
            "%ff",
            "\udc80",
            "1700003600",
            "exp=",
            "hmac=",
            "acl=/*",
            "Expires=",
        ]
        + ["CloudFront-Signature=", "CloudFront-Policy=", "Edge-Cache-Cookie=", "URLPrefix=", "FullPath", "Headers=X"]
    ),
)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_nothing_leaves_the_tree_of_errors(name: str, data: st.DataObject) -> None:
    """Query, cookies and header fields of any text, beside the dialect's own names."""
    facts = DIALECTS[name].capabilities
    text = st.lists(PIECES, max_size=8).map("".join)
    names = sorted(DIALECTS[name].reserved)
    pairs = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    query = "&".join(f"{pair}={data.draw(text)}" for pair in pairs)
    headers = {field: data.draw(text) for field in ["cookie", "x", *sorted(facts.headers)]}
    if facts.cookies:
        headers["cookie"] = "; ".join(f"{cookie}={data.draw(text)}" for cookie in sorted(facts.cookies))
    with pytest.raises(CountermarkError):
        check(f"/a.jpg?{query}", realm_with(name, base_url="https://a"), keyring=Keyring([]), headers=headers)
