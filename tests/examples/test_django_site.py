"""The Django site under gunicorn (WSGI, forked after loading) and under uvicorn (ASGI): the same views and client."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from example_processes import Running, is_quiet

from shell_ev.sandbox import EXAMPLE_EVSE, Charge, Fault, Sandbox

pytest.importorskip("django", reason="the extra examples is not installed")
pytest.importorskip("gunicorn", reason="the extra examples is not installed")
pytest.importorskip("uvicorn", reason="the extra examples is not installed")

pytestmark = pytest.mark.servers

Serve = Callable[..., Running]


@pytest.mark.parametrize(("number", "server"), [(0, "gunicorn"), (1, "uvicorn")])
def test_a_charge_and_its_faults(serve: Serve, sandbox: Sandbox, foreign: Charge, number: int, server: str) -> None:
    site = serve("django_site/__init__.py", number)
    assert server in site.process.args[0]  # type: ignore[index]
    assert EXAMPLE_EVSE in site.ask("GET", "/chargers?latitude=52.3731&longitude=4.8932").body["evse_ids"]
    started = site.start("trip", EXAMPLE_EVSE)
    assert (started.status, started.body) == (202, {"session_id": sandbox.charges[1].session_id})
    assert site.start("trip", EXAMPLE_EVSE).body == started.body
    path = f"/charges/{started.body['session_id']}"
    assert site.ask("GET", path).body["state"] == "started"

    assert site.ask("GET", "/chargers?latitude=here").status == 400
    assert site.ask("POST", "/charges", {"card": "x"}).status == 400
    assert site.ask("GET", "/charges").status == 405
    assert site.ask("GET", f"/charges/{foreign.session_id}").status == 404
    assert site.ask("POST", f"/charges/{foreign.session_id}/stop").status == 404
    assert foreign.is_running
    invalid = site.start("invalid", "NL*TNM", card="")
    assert (invalid.status, len(invalid.body["faults"])) == (422, 2)
    assert invalid.headers["Content-Type"] == "application/problem+json"
    sandbox.faults.add("charging.start", Fault.rate_limit(90))
    limited = site.start("limited", "NL*TNM*E02003451*1")
    assert (limited.status, limited.headers["Retry-After"]) == (429, "90")
    sandbox.faults.add("charging.retrieve", Fault.unavailable(90))
    assert site.ask("GET", path).status == 503

    stopped = site.ask("POST", f"{path}/stop")
    assert (stopped.status, stopped.body["state"]) == (200, "stopped")
    assert [request.operation for request in sandbox.requests].count("charging.start") == 2
    assert site.ends() in (0, -signal.SIGTERM)
    assert is_quiet(site.output)
