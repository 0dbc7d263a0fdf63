"""Start, drain, reload and death of real processes."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from threading import Event

import pytest
from click.testing import CliRunner

from countermark.cli import health
from tests.system.conftest import ROOT, WAIT, Gateway, Launch, config, fetch, until
from tests.system.small_worker import BODY

Answer = tuple[int, dict[str, str], bytes]

pytestmark = pytest.mark.timeout(240)


def refused(gateway: Gateway) -> bool:
    try:
        gateway.open().close()
    except ConnectionError:
        return True
    return False


def test_sigterm_finishes_the_request_in_flight_and_exits_with_0(serve: Launch) -> None:
    """The client has its whole picture, the next client goes elsewhere."""
    gateway = serve(config(drain="20s"))
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(gateway.get, "/hold")
        until(gateway.held, what="the request")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: refused(gateway), what="no new connections")
        assert gateway.process.poll() is None
        (gateway.folder / "release").touch()
        status, fields, body = answer.result(WAIT)
    assert (status, body, fields["connection"]) == (200, BODY, "close")
    assert gateway.process.wait(WAIT) == 0


def test_a_drain_is_bounded(serve: Launch) -> None:
    """A request that never ends does not keep the gateway."""
    gateway = serve(config(drain="500ms"))
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(gateway.get, "/hold")
        until(gateway.held, what="the request")
        assert gateway.stop() == 0
        with pytest.raises((ConnectionError, HTTPException)):
            answer.result(WAIT)
    assert gateway.log("drain timed out")


def test_sighup_takes_the_new_configuration(serve: Launch) -> None:
    """New workers with new settings, then the old ones leave."""
    gateway = serve(config(quality=80))
    assert gateway.get("/ok")[1]["quality"] == "80"
    gateway.configure(config(quality=42))
    gateway.reload()
    assert gateway.log("reloaded")
    until(lambda: gateway.get("/ok")[1]["quality"] == "42", what="the new settings")
    gateway.wait_for("worker left")
    assert {gateway.get("/ok")[1]["quality"] for _ in range(5)} == {"42"}


BAD = {
    "faults": ("server: {workers: 0, lisen: x}\nlog: {format: xml}\n", ["workers", "lisen", "format"]),
    "not YAML": ("server: [\n", ["countermark.yaml"]),
    "another port": (config(quality=42).replace('listen: "127.0.0.1:0"', 'listen: "127.0.0.1:1"'), ["server.listen"]),
}


@pytest.mark.parametrize(("text", "named"), BAD.values(), ids=BAD)
def test_sighup_with_a_bad_configuration_changes_nothing_and_names_all_faults(
    serve: Launch, text: str, named: list[str]
) -> None:
    """Whole or not at all."""
    gateway = serve(config(quality=80))
    worker = gateway.get("/ok")[1]["worker"]
    gateway.configure(text)
    gateway.reload()
    assert not gateway.log("reloaded")
    faults = " ".join(line["fault"] for line in gateway.log("configuration fault"))
    assert all(name in faults for name in named)
    answer = gateway.get("/ok")[1]
    assert (answer["worker"], answer["quality"]) == (worker, "80")
    assert gateway.metric("countermark_reloads_total", result="bad") == 1


def test_sighup_keeps_the_old_workers_when_the_new_ones_do_not_start(serve: Launch) -> None:
    """What only a start can find is found before anybody is sent away."""
    gateway = serve(config(quality=80))
    worker = gateway.get("/ok")[1]["worker"]
    (gateway.folder / "no-build").touch()
    gateway.configure(config(quality=42))
    gateway.reload()
    assert gateway.log("configuration fault")[0]["fault"] == "keys: told so"
    assert gateway.get("/ok")[1]["worker"] == worker
    (gateway.folder / "no-build").unlink()
    gateway.reload()
    assert gateway.log("reloaded")


def test_a_start_that_fails_exits_with_1_and_says_why(launch: Launch) -> None:
    """A bad keyring must not become a loop of dying workers."""
    gateway = launch(config())
    (gateway.folder / "no-build").touch()
    assert gateway.process.wait(WAIT) == 1
    assert gateway.log("configuration fault")[0]["fault"] == "keys: told so"
    assert gateway.log("workers did not start")


def test_ten_restarts_under_keep_alive_load_lose_no_request(serve: Launch) -> None:
    """Clients keep their connections and open new ones when they are told to close."""
    gateway = serve(config(drain="2s"))
    stop = Event()

    def load() -> tuple[int, set[str]]:
        connection, count, workers = gateway.connect(), 0, set()
        while not stop.is_set():
            connection.request("GET", "/ok")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, BODY)
            workers.add(response.headers["Worker"])
            count += 1
            stop.wait(0.005)
        connection.close()
        return count, workers

    with ThreadPoolExecutor() as threads:
        clients = [threads.submit(load) for _ in range(4)]
        try:
            for _ in range(10):
                gateway.reload()
        finally:
            stop.set()
        results = [client.result(WAIT) for client in clients]
    assert len(gateway.log("reloaded")) == 10
    assert sum(count for count, _ in results) > 100
    assert len(set.union(*(workers for _, workers in results))) > 5


def test_a_few_connections_are_spread_over_all_workers(serve: Launch) -> None:
    """A CDN keeps a handful; with one worker they would have the power of one. A worker that was replaced gets its share."""
    gateway = serve(config(workers=3))

    def shares(count: int) -> Counter[str]:
        connections = [gateway.connect() for _ in range(count)]
        for connection in connections:
            connection.connect()
        workers: Counter[str] = Counter()
        for connection in connections:
            connection.request("GET", "/ok")
            response = connection.getresponse()
            response.read()
            workers[response.headers["Worker"]] += 1
        for connection in connections:
            connection.close()
        return workers

    # Nobody waits long for a worker that has no processor: on a busy machine a single burst may be spread badly.
    first = sorted((shares(12) for _ in range(5)), key=lambda workers: (len(workers), min(workers.values())))[2]
    assert len(first) == 3
    assert min(first.values()) >= 2
    os.kill(int(max(first)), signal.SIGKILL)
    gateway.wait_for("worker died")
    until(lambda: gateway.metric("countermark_workers", state="ready") == 3, what="the replacement")
    assert len(set[str]().union(*(shares(12) for _ in range(5))) - first.keys()) == 1


def test_kill_9_of_a_worker_loses_its_own_requests_only(serve: Launch) -> None:
    """The sibling's clients notice nothing, and the dead one is replaced."""
    gateway = serve(config(workers=2))
    with ThreadPoolExecutor(60) as threads:
        answers: list[Future[Answer]] = []
        while len(set(gateway.held())) < 2:
            assert len(answers) < 60
            answers.append(threads.submit(gateway.get, "/hold"))
            until(lambda: len(gateway.held()) == len(answers), what="the request")
        victim = gateway.held()[0]
        lost = gateway.held().count(victim)
        os.kill(victim, signal.SIGKILL)
        gateway.wait_for("worker died")
        (gateway.folder / "release").touch()
        outcomes = [answer.exception(WAIT) or answer.result() for answer in answers]
    failed = [outcome for outcome in outcomes if isinstance(outcome, ConnectionError | HTTPException)]
    assert len(failed) == lost
    assert all(outcome[0] == 200 for outcome in outcomes if isinstance(outcome, tuple))
    assert gateway.get("/ok")[0] == 200
    until(lambda: gateway.metric("countermark_workers", state="ready") == 2, what="the replacement")
    assert gateway.metric("countermark_worker_deaths_total") == 1


def test_workers_leave_when_their_supervisor_is_killed(serve: Launch) -> None:
    """Nobody would ever reload or stop them again."""
    gateway = serve(config())
    gateway.process.kill()
    gateway.process.wait(WAIT)
    until(lambda: refused(gateway), what="the worker's end")


def test_a_worker_that_does_not_close_is_ended(serve: Launch) -> None:
    """By its supervisor, or by itself where that is dead."""
    gateway = serve(config(drain="100ms"))
    (gateway.folder / "clings").touch()
    worker = int(gateway.get("/ok")[1]["worker"])
    gateway.process.send_signal(signal.SIGHUP)
    (line,) = until(lambda: gateway.log("worker did not leave"), what="the supervisor's patience")
    assert line["pid"] == worker
    worker = int(gateway.get("/ok")[1]["worker"])
    with os.fdopen(os.pidfd_open(worker)) as alive:
        gateway.process.kill()
        gateway.process.wait(WAIT)
        assert select.select([alive], [], [], WAIT)[0], "the worker lives on"
    assert "Timeout (0:00:06" in gateway.log_file.read_text()


def test_slow_headers_at_a_low_descriptor_limit_do_not_keep_good_clients_out(serve: Launch) -> None:
    """More slow connections than the process has descriptors."""
    gateway = serve(config(), descriptors=128)
    slow = []
    try:
        for number in range(300):
            sock = gateway.open()
            sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n")
            slow.append(sock)
            if number % 10 == 0:
                assert gateway.get("/ok")[0] == 200
        assert [gateway.get("/ok")[0] for _ in range(20)] == [200] * 20
    finally:
        for sock in slow:
            sock.close()
    assert gateway.metric("countermark_connections_ended_total") > 100
    assert not gateway.log("worker died")


def test_metrics_are_summed_and_never_go_backwards(serve: Launch) -> None:
    """Over workers, over a reload, over a kill -9."""
    gateway = serve(config(workers=2))

    def served() -> float:
        return gateway.metric("countermark_requests_total", status="2xx")

    for _ in range(20):
        gateway.get("/ok")
    assert served() == 20
    gateway.reload()
    assert served() == 20
    gateway.wait_for("worker left", 2)
    assert served() == 20
    for _ in range(10):
        gateway.get("/ok")
    assert served() == 30
    os.kill(int(gateway.get("/ok")[1]["worker"]), signal.SIGKILL)
    gateway.wait_for("worker died")
    assert served() >= 30
    assert gateway.metric("countermark_build_info") == 1


def test_no_signature_is_ever_written(serve: Launch) -> None:
    """Neither of good nor of refused nor of malformed requests."""
    gateway = serve(config())
    for path in (
        "/ok?sig=verysecret",
        "/no?sig=verysecret",
        "/a//b?sig=verysecret",
        "/ok?sig=verysecret&sig=verysecret",
    ):
        gateway.get(path)
    for raw in (
        b"GET http://a/x?sig=verysecret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x?sig=verysecret HTTP/1.1\r\nHost: a\r\nBad field verysecret\r\n\r\n",
        b"GET /x?sig=verysecret\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x?sig=verysecret HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    ):
        with gateway.open() as sock:
            sock.sendall(raw)
            assert b" 400 " in sock.recv(1000)
    assert gateway.stop() == 0
    assert len(gateway.log("request")) == 8
    assert "verysecret" not in gateway.log_file.read_text()


def test_health_says_alive_ready_and_draining_apart(serve: Launch) -> None:
    """On both ports; the admin port has metrics besides and nothing else, the public port no metrics."""
    gateway = serve(config())
    for ask in (gateway.get, gateway.ask_admin):
        assert ask("/healthz")[0] == 200
        assert ask("/readyz")[0] == 200
    (gateway.folder / "unready").touch()
    assert gateway.get("/healthz")[0] == 200
    assert gateway.get("/readyz")[0] == 503
    until(lambda: b"told so" in gateway.ask_admin("/readyz")[2], what="the reason")
    assert gateway.get("/metrics")[0] == 403
    assert gateway.ask_admin("/")[0] == 404


def test_the_health_command_tells_by_its_exit_status(serve: Launch) -> None:
    """What HEALTHCHECK runs."""
    gateway = serve(config())

    def status(url: str) -> int:
        return CliRunner().invoke(health.command, ["--url", url]).exit_code

    assert status(f"http://{gateway.listen}/readyz") == 0
    (gateway.folder / "unready").touch()
    assert status(f"http://{gateway.listen}/readyz") == 1
    gateway.stop()
    assert status(f"http://{gateway.listen}/readyz") == 1
    assert status("ftp://x") == 2


def test_a_socket_of_systemd_is_served(serve: Launch) -> None:
    """LISTEN_FDS: the address is systemd's, whatever the configuration says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = serve(config(), systemd=listener)
        assert gateway.listen == f"127.0.0.1:{listener.getsockname()[1]}"
        assert gateway.get("/ok")[0] == 200


def test_the_supervisor_never_loads_libvips() -> None:
    """It must stay small, and alive whatever a picture does."""
    code = "import sys, countermark.cli.serve; sys.exit('pyvips' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "proxy")}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0


def test_a_client_that_never_reads_leaves_no_memory_behind(serve: Launch) -> None:
    """It is cut at the write deadline, and others are served meanwhile."""
    gateway = serve(config(rest=", write_timeout: 500ms"))
    with gateway.open() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: gateway.metric("countermark_connections_ended_total", cause="write_timeout") == 1, what="the cut")
        assert fetch(gateway.connect(), "/ok")[0] == 200
