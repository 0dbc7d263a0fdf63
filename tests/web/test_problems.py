"""The one table from error to problem."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from countermark.core import errors
from countermark.core.answer import Answer
from countermark.core.errors import CountermarkError
from countermark.signing.dialect import Denial
from countermark.signing.pixel_fiddler import PixelFiddler
from countermark.web.problems import PROBLEMS, answer_error, answer_internal


def family(root: type[CountermarkError]) -> Iterator[type[CountermarkError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def fields(answer: Answer) -> dict[str, str]:
    return dict(answer.headers)


def answered(error: CountermarkError, denials: dict[str, dict[str, Denial]] | None = None) -> Answer:
    return answer_error(error, instance="abc-000001", denials=denials or {})


@pytest.mark.parametrize("error", list(family(CountermarkError)), ids=lambda error: error.__name__)
def test_every_error_of_the_tree_has_a_line_of_its_own(error: type[CountermarkError]) -> None:
    """A new error without a line would be answered as an internal one."""
    assert error in PROBLEMS


def test_the_table_keeps_the_statuses_that_the_tree_promises() -> None:
    """The tree's docstring is what users of the errors read."""
    promised = {
        errors.Malformed: 400,
        errors.MethodNotAllowed: 405,
        errors.RangeNotSatisfiable: 416,
        errors.SignatureMissing: 401,
        errors.SignatureInvalid: 403,
        errors.Expired: 410,
        errors.OriginalMissing: 404,
        errors.PictureTooLarge: 413,
        errors.PictureUnsupported: 415,
        errors.PictureBroken: 422,
        errors.OriginUnreachable: 502,
        errors.OriginTimeout: 504,
        errors.Overloaded: 503,
    }
    assert {error: PROBLEMS[error].status for error in promised} == promised


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    """Stable type, title, status, detail, the request's id, and the reason as an extension."""
    answer = answered(errors.Expired("The link expired at 12:00.", private="key k1"))
    assert json.loads(answer.body) == {
        "type": "urn:countermark:problem:expired",
        "title": "Expired",
        "status": 410,
        "detail": "The link expired at 12:00.",
        "instance": "abc-000001",
        "reason": "expired",
    }
    assert fields(answer)["Content-Type"] == "application/problem+json"
    assert fields(answer)["Countermark-Reason"] == "expired"
    assert fields(answer)["Cache-Control"] == "no-store"
    assert fields(answer)["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.MethodNotAllowed("No."), "Allow", "GET, HEAD, OPTIONS"),
        (errors.RangeNotSatisfiable("No.", size=42), "Content-Range", "bytes */42"),
        (errors.Overloaded("Later.", retry_after=7), "Retry-After", "7"),
        (errors.RenderCrashed("Later."), "Retry-After", "1"),
    ],
)
def test_a_status_comes_with_the_field_that_it_requires(error: CountermarkError, name: str, value: str) -> None:
    """RFC 9110 demands or advises a field for these statuses."""
    assert fields(answered(error))[name] == value


def test_a_401_says_how_to_authenticate() -> None:
    """RFC 9110 §15.5.2: a 401 must carry WWW-Authenticate."""
    assert fields(answered(errors.SignatureMissing("None.")))["WWW-Authenticate"]


def test_a_target_that_is_too_long_is_414() -> None:
    """One rule of a class has a status of its own; the others keep the class's."""
    assert answered(errors.TargetMalformed("Too long.", rule="too_long")).status == 414
    assert answered(errors.TargetMalformed("No.", rule="fragment")).status == 400


def test_a_vendor_says_no_in_its_own_words() -> None:
    """Status and body are the vendor's, the headers stay ours."""
    error = errors.SignatureInvalid("No.")
    error.dialect = "vendor"
    denials = {"vendor": {"signature_invalid": Denial(status=404, body="denied", content_type="text/plain")}}
    answer = answered(error, denials)
    assert (answer.status, answer.body) == (404, b"denied")
    assert fields(answer)["Content-Type"] == "text/plain"
    assert fields(answer)["Cache-Control"] == "no-store"
    assert fields(answer)["Countermark-Reason"] == "signature_invalid"


def test_a_vendor_without_a_body_gets_our_document_with_its_status() -> None:
    """The document says the status that is really sent."""
    error = errors.SignatureMissing("None.")
    error.dialect = "vendor"
    answer = answered(error, {"vendor": {"signature_missing": Denial(status=403)}})
    assert answer.status == 403
    assert json.loads(answer.body)["status"] == 403
    assert "WWW-Authenticate" not in fields(answer)


def test_a_vendors_words_are_filled_in_as_json() -> None:
    """Path and sentence stand in a text, escaped, each place once: no path adds a word or a place of its own."""
    body = '{"instance": "{instance}", "detail": "{detail}", "other": "{reason}"}'
    error = errors.SignatureInvalid('Not "yours" {instance}.')
    error.dialect = "vendor"
    denials = {"vendor": {"signature_invalid": Denial(status=403, body=body, content_type="application/json")}}
    path = '/a","admin":true,"{detail}'
    answer = answer_error(error, instance="r", denials=denials, path=path)
    assert json.loads(answer.body) == {"instance": path, "detail": 'Not "yours" {instance}.', "other": "{reason}"}


@pytest.mark.parametrize(
    ("error", "status", "kind", "title", "detail"),
    [
        (
            errors.SignatureMissing("No."),
            401,
            "SignatureMissing",
            "Signature is missing",
            "Resource '/demo/media/crab.jpg' is secured with signature.",
        ),
        (
            errors.Expired("No."),
            403,
            "SignatureExpired",
            "Signature expired",
            "Signature for resource '/demo/media/crab.jpg' expired.",
        ),
        (
            errors.SignatureInvalid("No."),
            403,
            "SignatureInvalid",
            "Signature is invalid",
            "Signature for resource '/demo/media/crab.jpg' is invalid.",
        ),
    ],
)
def test_pixel_fiddlers_problems_are_those_of_its_page(
    error: CountermarkError, status: int, kind: str, title: str, detail: str
) -> None:
    """The first two word by word; the third is not published and follows them."""
    error.dialect = "pixel_fiddler"
    path = "/demo/media/crab.jpg"
    answer = answer_error(error, instance="r", denials={"pixel_fiddler": PixelFiddler.denials}, path=path)
    assert answer.status == status
    assert json.loads(answer.body) == {
        "type": f"pf:problems/{kind}",
        "title": title,
        "status": status,
        "detail": f"{detail} (https://pixel-fiddler.com/docs/security/signature)",
        "instance": path,
    }


def test_an_internal_error_says_nothing_of_its_cause() -> None:
    """Neither does an error that no request should ever meet."""
    fault = errors.Fault(path="keys", message="secret path")
    for answer in (answer_internal(instance="x"), answered(errors.ConfigurationInvalid([fault]))):
        assert answer.status == 500
        assert b"secret" not in answer.body
        assert json.loads(answer.body)["reason"] == "internal"
