"""A walk says what is wrong with an answer; else a tour without faults would prove nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from countermark.demo import walk as walking
from countermark.demo.walk import Address, Outcome, Step, walk

Answer = tuple[int, dict[str, object]]
Serve = Callable[[Callable[[str], Answer]], Address]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A factory: a server that answers each request line as the given function says, with a JSON body."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str], Answer]) -> Address:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answer(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return "127.0.0.1", server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def walked(address: Address, *steps: Step, workers: int = 1) -> list[Outcome]:
    return list(walk(list(steps), address, address, workers=workers))


def test_another_status_or_header_than_expected_is_a_fault(serve: Serve) -> None:
    """Each is told in words."""
    address = serve(lambda path: (404, {}))
    (outcome,) = walked(address, Step(title="a", target="/", status=200, expect={"Retry-After": "1"}))
    assert outcome.faults == ("status 404, expected 200", "Retry-After: '', expected '1' in it")


def test_a_target_can_be_made_of_an_earlier_answer(serve: Serve) -> None:
    """As a session's URLs are made of what login has answered."""
    address = serve(lambda path: (200, {"id": "x"}) if path == "/login" else (404, {}) if path != "/x" else (200, {}))
    login = Step(title="login", target="/login", method="POST", body={"user": "anna"}, status=200)
    second = Step(title="second", target=lambda replies: f"/{replies['login'].json()['id']}", status=200)
    assert [outcome.faults for outcome in walked(address, login, second)] == [(), ()]


def test_a_refusal_settles_when_every_worker_has_given_it(serve: Serve) -> None:
    """The first answers still open, then one worker refuses, then the other does too."""
    turns = count()

    def answer(path: str) -> Answer:
        turn = next(turns)
        return (200, {}) if turn < 20 else (410, {"instance": f"{'ab'[turn % 2] if turn > 40 else 'a'}-1"})

    (outcome,) = walked(serve(answer), Step(title="a", target="/", status=410, settles=True), workers=2)
    assert (outcome.faults, outcome.note) == ((), "all 2 workers")
    assert next(turns) > 40


@pytest.mark.parametrize(
    ("answer", "said"),
    [((200, {}), "some workers still answered otherwise"), ((410, {"instance": "a-1"}), "not every worker was met")],
)
def test_what_does_not_settle_in_time_is_a_fault(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    """A worker that lets a revoked URL in, and one that nobody has asked."""
    monkeypatch.setattr(walking, "SETTLE_SECONDS", 0.0)
    (outcome,) = walked(serve(lambda path: answer), Step(title="a", target="/", status=410, settles=True), workers=2)
    assert said in outcome.faults[0]


def test_a_request_that_is_lost_meanwhile_is_a_fault(serve: Serve) -> None:
    """One of many is enough; without it there is none."""
    turns = count()
    address = serve(lambda path: (503 if path == "/picture" and next(turns) == 5 else 200, {}))
    step = Step(title="a", target="/reload", status=200, meanwhile="/picture")
    lossy, whole = walked(address, step, step)
    assert lossy.faults[0].startswith("1 of ")
    assert (whole.faults, whole.note.endswith("none lost")) == ((), True)


def test_answers_that_must_be_alike_may_differ_in_their_id_alone(serve: Serve) -> None:
    """Else somebody could tell what exists."""
    ids = count()
    address = serve(lambda path: (403, {"instance": f"a-{next(ids)}", "detail": "no" if path != "/b" else "not there"}))
    first = Step(title="first", target="/a", status=403)
    same = Step(title="same", target="/c", status=403, like="first")
    other = Step(title="other", target="/b", status=403, like="first")
    outcomes = walked(address, first, same, other)
    assert [bool(outcome.faults) for outcome in outcomes] == [False, False, True]
