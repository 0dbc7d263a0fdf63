"""The page of all dialects, made of what they say of themselves.

`python -m countermark.signing.reference markdown` prints it; `./dev docs` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from countermark.signing.dialect import Dialect
from countermark.signing.table import DIALECTS

_HEAD = """\
# Signature dialects

Made from `proxy/countermark/signing/` by `./dev docs`. A site lists the dialects that it accepts (`sites[].accept`) and
sets their options under `sites[].dialects.NAME`; a request never chooses beyond them.

A cell says what the signature covers, or what the URL can be bound to. Statuses are the vendor's own where it has some.
An option that weakens a dialect has a name that starts with `unsafe_`.

Old formats are taken with bounds that their vendors do not have, and each waiver has a name:

- **No end.** A URL that never ends is refused with 403 `lifetime_exceeded`, however authentic, unless the site sets the
  dialect's `unsafe_unlimited` or has an outer dialect. Where no URL of a dialect can have an end, the settings must have one of
  the two.
- **MD5.** What an MD5 key signs may live one hour, counted from when it is used; `unsafe_max_life` in the key's entry, in
  the place of `max_life`, lets it live longer.
- **MD5 and SHA-1** are named when the gateway starts and by `countermark check` (`legacy_hash`), as are all `unsafe_`
  options that are set (`unsafe_option`); `countermark_cautions` counts them.

A site's `outer` dialect has its credentials in cookies or header fields, and each request must pass it too: what one CDN signs
for ever, another one, or a login's cookie, ends. The answer ends with the first of both, and is private.

`countermark sign --dialect NAME` makes a URL with a key of the keyring, `verify` says whether the site takes it now, and
`explain` names the first failed check, shows what is signed, and tries what programs do to URLs on their way: each change
that makes the signature hold when it is undone is named and said to explain the refusal.

| change | what happened |
|---|---|
| `extra-parameter`, `missing-parameter` | a parameter came in, such as `utm_source`, or the key's id was lost |
| `escaping`, `plus` | characters were escaped, decoded, escaped twice or in small letters; a space became `+` |
| `slash` | `//` was collapsed, a slash was added, at the end too |
| `case`, `extension` | letters changed their case; an extension was added, changed or lost |
| `order`, `html-entities` | the query was sorted; `&` became `&amp;` |
| `signature-text`, `field-text` | the signature in another base64 or in hexadecimal; a cookie or field quoted or escaped |
| `clock`, `key`, `dialect`, `host`, `address` | the time; whose key, dialect, host it is |

Dialects that share a name for their signature stand side by side in one site only if the first leaves the others' URLs
alone: `native`, in front, leaves those without `kid`. `sign` says so where a site would take a URL for another dialect's.
"""

_FACTS = {
    "path": "signs_path",
    "query": "signs_query",
    "host": "signs_host",
    "method": "signs_method",
    "expiry": "expiry",
    "address": "address",
    "prefix": "prefix",
    "key id": "key_ids",
}


def markdown() -> str:
    """The page: what each covers, what its keys are, its options, its answers."""
    return "\n".join([_HEAD, *_table(), "", *(line for dialect in DIALECTS.values() for line in _section(dialect))])


def _table() -> Iterator[str]:
    yield f"| dialect | {' | '.join(_FACTS)} | algorithms |"
    yield "|---" * (len(_FACTS) + 2) + "|"
    for name, dialect in DIALECTS.items():
        facts = dialect.capabilities
        cells = ["yes" if getattr(facts, fact) else "no" for fact in _FACTS.values()]
        yield f"| [`{name}`](dialects/{facts.page}.md) | {' | '.join(cells)} | {', '.join(facts.algorithms)} |"


def _section(dialect: Dialect) -> Iterator[str]:
    facts = dialect.capabilities
    yield f"## `{dialect.name}`"
    yield ""
    yield f"{facts.title}. Source: {facts.source}."
    yield ""
    # What a key pair has instead of a secret is the same for all of them: keys/keyfile.py.
    yield (
        f"Keys: {', '.join(facts.algorithms)}; a shared secret as {' or '.join(f'`{form}`' for form in facts.forms)}"
        + (f", {facts.least_secret} bytes at least{', with `salt_hex`' if facts.salted else ''}.")
    )
    yield ""
    if facts.unminted:
        yield f"`countermark sign` makes none: {facts.unminted}"
        yield ""
    if facts.signs_base_url:
        yield "A site that accepts it must have a `base_url`."
        yield ""
    if facts.waivers:
        yield f"Target rules that it cannot keep: {', '.join(sorted(facts.waivers))}."
        yield ""
    if dialect.denials:
        yield f"Says no with: {', '.join(f'{reason} {said.status}' for reason, said in dialect.denials.items())}."
        yield ""
    if dialect.options:
        yield "| option | value | default | meaning |"
        yield "|---|---|---|---|"
        for option in dialect.options:
            value = json.dumps(option.default).strip('"') or "empty"
            default = "required" if option.required or option.waives else f"`{value}`"
            expected = option.expected.replace("|", "\\|")
            yield f"| `{option.name}` | {expected} | {default} | {option.sentence} |"
        yield ""


if __name__ == "__main__":
    sys.stdout.write({"markdown": markdown}[sys.argv[1]]())
