"""A Flask app with the blocking client: one ShellEV per worker process, for all its threads, made on the first request.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    gunicorn --chdir examples --config examples/gunicorn.conf.py --bind 127.0.0.1:8000 flask_app:app

then `curl 'http://127.0.0.1:8000/chargers?latitude=52.37&longitude=4.89'`. A start needs an Idempotency-Key header:
repeated with the same key it gives the same charge. SHELL_EV_STORE and CHARGES_PATIENCE as in fastapi_service.py.
"""

from __future__ import annotations

import os

from flask import Flask, Response, abort, jsonify, request
from http_problems import CONTENT_TYPE, problem_of
from process_client import ProcessClient

from shell_ev import PERSONAL_FIELDS, ChargeSession, ShellEV, ShellEVError
from shell_ev.export import Json

PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
STORE = os.environ.get("SHELL_EV_STORE") or "charges.sqlite3"

app = Flask(__name__)
# With gunicorn's preload this module is imported once, before the workers are forked: nothing here may make a client.
clients = ProcessClient(lambda: ShellEV.from_env(store=STORE, timeout=20, user_agent_suffix="flask_app"), recover=30)


@app.errorhandler(ShellEVError)
def as_problem(error: ShellEVError) -> Response:
    """Every error of the library, as the HTTP answer it amounts to."""
    problem = problem_of(error)
    answer = jsonify(problem.body)
    answer.status_code, answer.mimetype = problem.status, CONTENT_TYPE
    answer.headers.extend(problem.headers)
    return answer


@app.get("/chargers")
def find_chargers() -> Response:
    """The free EVSEs around a place, nearest first."""
    latitude, longitude = request.args.get("latitude", type=float), request.args.get("longitude", type=float)
    if latitude is None or longitude is None:
        abort(400, "latitude and longitude are needed, in degrees")
    nearby = clients.get().locations.nearby(latitude, longitude, evse_status="Available", limit=25)
    return jsonify(
        [
            {"evse_id": evse.evse_id, "max_power_kw": evse.max_power_kw, "operator": location.operator_name}
            for location in nearby.data
            for evse in location.available_evses()
        ]
    )


@app.post("/charges")
def start_charge() -> tuple[Response, int]:
    """Start a charge: 202 once it is accepted, which is not yet charging."""
    key = request.headers.get("Idempotency-Key")
    order: dict[str, str] | None = request.get_json()
    if not key or not isinstance(order, dict) or not {"card", "evse_id"} <= order.keys():
        abort(400, "an Idempotency-Key header and a body with card and evse_id are needed")
    charge = clients.get().start_charge(order["card"], order["evse_id"], key=key, start_timeout=PATIENCE)
    return jsonify({"session_id": charge.session_id}), 202


@app.get("/charges/<session_id>")
def show_charge(session_id: str) -> Response:
    """Look at a charge."""
    return jsonify(as_json(clients.get().attach(own(session_id)).refresh()))


@app.post("/charges/<session_id>/stop")
def stop_charge(session_id: str) -> Response:
    """Stop a charge and see it stopped. One that has stopped already is a success."""
    return jsonify(as_json(clients.get().attach(own(session_id), stop_timeout=PATIENCE).stop()))


def own(session_id: str) -> str:
    """The id of a charge of the journal; any other one is a 404, also for those who guess it."""
    if clients.get().journal.find(session_id=session_id) is None:
        abort(404, "no such charge")
    return session_id


def as_json(session: ChargeSession) -> dict[str, Json]:
    """A session as JSON has it, without the card and the account."""
    return session.to_dict(redact=PERSONAL_FIELDS)
