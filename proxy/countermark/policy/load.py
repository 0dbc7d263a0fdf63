"""Reads policy templates: texts in, a whole set or every fault at once out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_network
from math import ceil

from msgspec import inspect

from countermark.core.audit import Retention
from countermark.core.errors import ConfigurationInvalid, CountermarkError, Fault
from countermark.core.grant import Network
from countermark.core.networks import NetworkSet
from countermark.imaging.presets import read_presets
from countermark.policy.countries import COUNTRIES, MISTAKEN
from countermark.policy.model import Element, Example, NetworkRules, TemplateFile
from countermark.policy.template import Ceiling, Geography, Networks, Places, Template
from countermark.policy.trial import REASONS
from countermark.settings.convert import Reading, convert, suggestion
from countermark.settings.document import parse

MAX_LIST_BYTES = 16 * 2**20
"""Largest file of networks."""

_KIND = inspect.type_info(TemplateFile)
_ENDS = (".yaml", ".yml")
_NETWORK = "a network such as 10.0.0.0/8 or 2001:db8::/32"
_PLACE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)

Found = tuple[str, str]


def load_templates(texts: Mapping[str, str], *, presets: Collection[str] | None = None) -> Mapping[str, Template]:
    """Templates by name from the texts of a folder by file name: *.yaml, and *.txt with one network a line.

    `presets` are those that the settings know; None leaves the names unchecked. Raises ConfigurationInvalid with all
    faults of all files.
    """
    lists, faults = _read_lists(texts)
    templates: dict[str, Template] = {}
    for file, text in sorted(texts.items()):
        if not file.endswith(_ENDS):
            continue
        try:
            template = _load(file, text, lists, presets)
            if template.name in templates:
                raise ConfigurationInvalid([_twin(template, templates[template.name])])
        except ConfigurationInvalid as invalid:
            faults += invalid.faults
            continue
        templates[template.name] = template
    if faults:
        raise ConfigurationInvalid(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.column)))
    return templates


def _load(file: str, text: str, lists: Mapping[str, tuple[Network, ...]], presets: Collection[str] | None) -> Template:
    reading = Reading()
    written: TemplateFile = convert(parse(text, file=file), _KIND, "", reading)
    near = _beside(file, lists)
    for path, message in _check(written, _stem(file), near, presets):
        reading.fault(path, message)
    if reading.faults:
        raise ConfigurationInvalid(reading.faults)
    return _compiled(written, reading, near)


def _compiled(written: TemplateFile, reading: Reading, lists: Mapping[str, tuple[Network, ...]]) -> Template:
    allowed = tuple(_networks(written.network.allow, lists))
    denied = tuple(_networks(written.network.deny, lists))
    return Template(
        name=written.template,
        file=written,
        places=reading.places,
        elements=_elements(written),
        contexts=frozenset(written.contexts),
        weaknesses=frozenset(written.refuse_weak),
        presets=frozenset(written.transforms.presets),
        formats=frozenset(written.transforms.formats),
        geography=_geography(written),
        networks=_network_sets(written.network, allowed, denied),
        ceilings=tuple(
            Ceiling(counted, rate.per / rate.requests, rate.burst or rate.requests)
            for counted, rate in written.ceiling.items()
        ),
        retention=_retention(written),
        allowed_networks=allowed,
        denied_networks=denied,
    )


def _elements(written: TemplateFile) -> tuple[Element, ...]:
    implied: dict[Element, bool] = {
        "session": written.expires.session_end,
        "once": written.uses == "once",
        "address": written.network.bind != "none",
        "context": bool(written.contexts),
        "preset": bool(written.transforms.presets),
    }
    return tuple(dict.fromkeys([*written.require, *(element for element, asked in implied.items() if asked)]))


def _retention(written: TemplateFile) -> Retention:
    regions = [region for region in written.regions.values() if region.retention]
    laws = [(code, ceil(region.retention)) for region in regions for code in region.countries]
    return Retention.of(ceil(written.retention), laws)


def _geography(written: TemplateFile) -> Geography | None:
    closed = {code for region in written.regions.values() if region.closed for code in region.countries}
    deny = Places.of(frozenset(written.geo.deny) | closed)
    if not written.geo.allow and not deny.codes:
        return None
    allow = Places.of(frozenset(written.geo.allow)) if written.geo.allow else None
    return Geography(allow=allow, deny=deny, unknown=written.geo.unknown == "allow")


def _network_sets(rules: NetworkRules, allowed: tuple[Network, ...], denied: tuple[Network, ...]) -> Networks | None:
    if not rules.allow and not rules.deny:
        return None
    # A file without a network in it, named in `allow`, allows nobody: it must not look like no list at all.
    return Networks(allow=NetworkSet(allowed) if rules.allow else None, deny=NetworkSet(denied))


def _networks(entries: tuple[str, ...], lists: Mapping[str, tuple[Network, ...]]) -> Iterator[Network]:
    for entry in entries:
        if entry.endswith(".txt"):
            yield from lists[entry]
        else:
            yield ip_network(entry)


def _check(
    written: TemplateFile, stem: str, lists: Mapping[str, tuple[Network, ...]], presets: Collection[str] | None
) -> Iterator[Found]:
    if written.template != stem:
        yield "template", f"is {written.template!r}, and the file is called {stem}; a template has its file's name"
    yield from _check_transforms(written, presets)
    yield from _check_places(written)
    yield from _check_networks("network.allow", written.network.allow, lists)
    yield from _check_networks("network.deny", written.network.deny, lists)
    for name, region in written.regions.items():
        if written.retention and region.retention > written.retention:
            yield f"regions.{name}.retention", "is longer than the template's; a region may only shorten it"
    for index, example in enumerate(written.examples):
        yield from _check_example(f"examples[{index}]", example)


def _check_transforms(written: TemplateFile, presets: Collection[str] | None) -> Iterator[Found]:
    rules = written.transforms
    if rules.min_quality > rules.max_quality:
        yield "transforms.min_quality", "is above max_quality, so that no quality is allowed"
    for index, preset in enumerate(rules.presets):
        if presets is not None and preset not in presets:
            known = f"; there is {', '.join(sorted(presets)[:8])}" if presets else "; the settings have none"
            hint = suggestion(preset, presets) or known
            yield f"transforms.presets[{index}]", f"no preset is called {preset[:80]!r}{hint}"


def _check_places(written: TemplateFile) -> Iterator[Found]:
    lists = {"geo.allow": written.geo.allow, "geo.deny": written.geo.deny}
    lists |= {f"regions.{name}.countries": region.countries for name, region in written.regions.items()}
    lists |= {f"examples[{index}].request.geo": example.request.geo for index, example in enumerate(written.examples)}
    for path, codes in lists.items():
        for index, code in enumerate(codes):
            if fault := _place_fault(code):
                yield f"{path}[{index}]", fault


def _place_fault(code: str) -> str:
    if not _PLACE.fullmatch(code):
        right = MISTAKEN.get(code.upper(), code.upper())
        hint = f"; did you mean {right!r}?" if _PLACE.fullmatch(right) else ""
        return f"should be an ISO 3166 code such as DE or US-CA, not {code[:40]!r}{hint}"
    if code[:2] in COUNTRIES:
        return ""
    right = MISTAKEN.get(code[:2], "")
    return f"no country has the code {code[:2]!r}" + (
        f"; did you mean {right!r}?" if right else "; see ISO 3166-1 alpha-2"
    )


def _check_networks(path: str, entries: tuple[str, ...], lists: Mapping[str, tuple[Network, ...]]) -> Iterator[Found]:
    for index, entry in enumerate(entries):
        if entry.endswith(".txt"):
            if entry not in lists:
                yield f"{path}[{index}]", f"no file of this name stands beside the template: {entry[:80]!r}"
        elif (fault := _network_fault(entry)) is not None:
            file = "" if "." in entry or ":" in entry else ", or a file such as offices.txt"
            yield f"{path}[{index}]", f"{fault}{file}"


def _network_fault(text: str) -> str | None:
    try:
        ip_network(text)
    except ValueError:
        return f"should be {_NETWORK}, not {text[:80]!r}{_without_host_bits(text)}"
    return None


def _without_host_bits(text: str) -> str:
    try:
        return f"; did you mean '{ip_network(text, strict=False)}'?"
    except ValueError:
        return ""


def _check_example(path: str, example: Example) -> Iterator[Found]:
    if bool(example.permit) == bool(example.deny):
        yield path, "says what it shows in `permit` or in `deny`, and in one of them only"
    elif example.deny and not example.reason:
        yield path, "needs the `reason` of the refusal, such as element_missing"
    if example.permit and example.reason:
        yield f"{path}.reason", "is for refusals; this example permits"
    elif example.reason and example.reason not in REASONS:
        hint = suggestion(example.reason, REASONS) or f"; it can be {', '.join(REASONS)}"
        yield f"{path}.reason", f"no template refuses for {example.reason[:80]!r}{hint}"
    yield from _check_request(f"{path}.request", example)


def _check_request(path: str, example: Example) -> Iterator[Found]:
    request = example.request
    for element in ("preset", "context", "geo", "address"):
        if element in request.signs and not getattr(request, element):
            yield f"{path}.signs", f"{element} is signed with a value; write `{element}:` beside it"
    if request.address and (fault := _network_fault(request.address)) is not None:
        yield f"{path}.address", fault
    try:
        ip_network(request.client_address)
    except ValueError:
        yield f"{path}.from", f"should be an address such as 203.0.113.7, not {request.client_address[:80]!r}"
    else:
        if "/" in request.client_address:
            yield f"{path}.from", f"should be one address and no network: {request.client_address[:80]!r}"
    try:
        read_presets({"": request.operations})
    except CountermarkError as error:
        faults = error.faults if isinstance(error, ConfigurationInvalid) else ()
        yield f"{path}.operations", " ".join(fault.message for fault in faults) or error.detail


def _read_lists(texts: Mapping[str, str]) -> tuple[dict[str, tuple[Network, ...]], list[Fault]]:
    lists: dict[str, tuple[Network, ...]] = {}
    faults: list[Fault] = []
    for file, text in texts.items():
        if not file.endswith(".txt"):
            continue
        found: list[Network] = []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.partition("#")[0].strip()
            try:
                found += [ip_network(entry)] if entry else []
            except ValueError:
                message = f"should be a network or an address, not {entry[:80]!r}{_without_host_bits(entry)}"
                faults.append(Fault(path="", message=message, file=file, line=number, column=line.index(entry) + 1))
        lists[file] = tuple(found)
    return lists, faults


def _beside(file: str, lists: Mapping[str, tuple[Network, ...]]) -> dict[str, tuple[Network, ...]]:
    """The lists in a template's folder, by the name that it calls them."""
    folder = posixpath.dirname(file)
    return {posixpath.basename(name): found for name, found in lists.items() if posixpath.dirname(name) == folder}


def _twin(template: Template, first: Template) -> Fault:
    place = template.place("template")
    message = f"{template.name!r} is also the template of {first.place('template').file}; a name is given once"
    return Fault(path="template", message=message, file=place.file, line=place.line, column=place.column)


def _stem(file: str) -> str:
    return posixpath.splitext(posixpath.basename(file))[0]
