"""A FastAPI service that finds chargers, starts charges, shows and stops them; one AsyncShellEV for its whole life.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    uvicorn --app-dir examples fastapi_service:app --port 8000 --timeout-graceful-shutdown 60

and open http://127.0.0.1:8000/docs. A start needs an Idempotency-Key header of the caller's own making: repeated with
the same key it gives the same charge, also after a crash of this service. While the first call with a key is under way,
another one is answered with 409.

    SHELL_EV_STORE        journal of the charges: a path or postgresql://... (charges.sqlite3)
    CHARGES_PATIENCE      seconds to look for a charge whose start got no answer, and to see one stop (20)
    CHARGES_ON_SHUTDOWN   "leave" the charges of this process running when it ends, or "stop" them ("leave")
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from http_problems import CONTENT_TYPE, problem_of
from pydantic import BaseModel

from shell_ev import AsyncCharge, AsyncShellEV, ChargeFailedError, ChargePendingError, ChargeSession, ShellEVError

logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(name)s: %(message)s")
logger = logging.getLogger(__name__)

PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
STORE = os.environ.get("SHELL_EV_STORE") or "charges.sqlite3"


class Running:
    """What the service holds while it lives."""

    def __init__(self, ev: AsyncShellEV) -> None:
        self.ev = ev
        self.starting: set[asyncio.Task[AsyncCharge]] = set()
        """Starts under way."""
        self.session_ids: set[str] = set()
        """Charges this process started and has not seen end."""

    async def start(self, key: str, card: str, evse_id: str) -> AsyncCharge:
        """Start in a separate task: a request that the server cancels at its shutdown loses no charge."""
        task = asyncio.create_task(self._start(key, card, evse_id))
        self.starting.add(task)
        task.add_done_callback(self.starting.discard)
        return await asyncio.shield(task)

    async def _start(self, key: str, card: str, evse_id: str) -> AsyncCharge:
        charge = await self.ev.start_charge(card, evse_id, key=key, start_timeout=PATIENCE)
        self.session_ids.add(charge.session_id)
        return charge


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client from start-up to shutdown, and a decision on what is charging by then."""
    on_shutdown = os.environ.get("CHARGES_ON_SHUTDOWN", "leave")
    if on_shutdown not in ("leave", "stop"):
        raise ValueError(f"CHARGES_ON_SHUTDOWN must be 'leave' or 'stop', not {on_shutdown!r}")
    async with AsyncShellEV.from_env(store=STORE, timeout=20, user_agent_suffix="fastapi_service") as ev:
        await ev.recover(every=30)  # what a killed process left, of this service or of another one
        app.state.running = running = Running(ev)
        yield
        # The server has let requests finish, or has cancelled them: what they began is known once it is through.
        if running.starting:
            await asyncio.wait(running.starting)
        if on_shutdown == "stop":
            await asyncio.gather(*(stop_for_good(ev, session_id) for session_id in running.session_ids))
        elif running.session_ids:
            logger.warning("shutdown leaves running, if still they do: %s", ", ".join(sorted(running.session_ids)))


async def stop_for_good(ev: AsyncShellEV, session_id: str) -> None:
    """Stop one charge at shutdown and say what came of it."""
    try:
        await ev.attach(session_id, stop_timeout=PATIENCE).stop()
        logger.info("shutdown stopped %s", session_id)
    except ShellEVError as error:
        logger.error("shutdown: %s", error)


app = FastAPI(title="Charging", lifespan=lifespan)


@app.exception_handler(ShellEVError)
async def as_problem(request: Request, error: ShellEVError) -> JSONResponse:
    """Every error of the library, as the HTTP answer it amounts to."""
    problem = problem_of(error)
    return JSONResponse(problem.body, problem.status, problem.headers, media_type=CONTENT_TYPE)


class Charger(BaseModel):
    """An EVSE that is free."""

    evse_id: str
    distance_km: float | None
    max_power_kw: float | None
    address: str | None


class Order(BaseModel):
    """Which card is to charge where."""

    card: str
    evse_id: str


class Reason(BaseModel):
    """Why a charge failed."""

    code: str | None = None
    message: str | None = None


class Charge(BaseModel):
    """A charge as far as it is known. ``state`` is None until the first look."""

    session_id: str
    state: str | None = None
    error: Reason | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None

    @classmethod
    def of(cls, session_id: str, session: ChargeSession) -> Charge:
        """The charge of a session, looked up or not."""
        return cls.model_validate({"session_id": session_id, **session.to_dict()})


def get_running(request: Request) -> Running:
    """What ``lifespan`` made."""
    running: Running = request.app.state.running
    return running


Service = Annotated[Running, Depends(get_running)]


async def own_charge(session_id: str, service: Service) -> AsyncCharge:
    """A charge of the journal; any other one is a 404, also for those who guess its id."""
    charge = service.ev.attach(session_id, stop_timeout=PATIENCE)
    if await service.ev.journal.find(session_id=session_id) is None:
        raise HTTPException(404, "no such charge")
    return charge


OwnCharge = Annotated[AsyncCharge, Depends(own_charge)]


@app.get("/chargers")
async def find_chargers(service: Service, latitude: float, longitude: float) -> list[Charger]:
    """The free EVSEs around a place, nearest first."""
    nearby = await service.ev.locations.nearby(latitude, longitude, evse_status="Available", limit=25)
    return [
        Charger(
            evse_id=evse.evse_id,
            distance_km=location.distance_km(latitude, longitude),
            max_power_kw=evse.max_power_kw,
            address=location.address.street_and_number if location.address is not None else None,
        )
        for location in nearby.data
        for evse in location.available_evses()
        if evse.evse_id is not None
    ]


@app.post("/charges", status_code=202, responses={201: {"model": Charge}})
async def start_charge(
    order: Order,
    idempotency_key: Annotated[str, Header(min_length=1, max_length=200)],
    service: Service,
    response: Response,
    wait: Annotated[float, Query(ge=0, le=60)] = 0,
) -> Charge:
    """Start a charge: 202 once it is accepted, which is not yet charging.

    With ``wait`` (seconds) 201 once it charges, 409 with the reason when it fails, 202 if it is still open by then.
    """
    charge = await service.start(idempotency_key, order.card, order.evse_id)
    response.headers["Location"] = f"/charges/{charge.session_id}"
    if wait:
        try:
            await charge.wait_started(timeout=wait)
            response.status_code = 201
        except ChargePendingError:
            pass  # accepted all the same, and may start yet: that is what 202 says
        except ChargeFailedError:
            service.session_ids.discard(charge.session_id)
            raise
    return Charge.of(charge.session_id, charge.session)


@app.get("/charges/{session_id}")
async def show_charge(charge: OwnCharge, service: Service) -> Charge:
    """Look at a charge."""
    session = await charge.refresh()
    if charge.is_over:
        service.session_ids.discard(charge.session_id)
    return Charge.of(charge.session_id, session)


@app.post("/charges/{session_id}/stop")
async def stop_charge(charge: OwnCharge, service: Service) -> Charge:
    """Stop a charge and see it stopped. One that has stopped already is a success."""
    session = await charge.stop()
    service.session_ids.discard(charge.session_id)
    return Charge.of(charge.session_id, session)


@app.get("/health")
async def health() -> dict[Literal["status"], str]:
    """For the load balancer: that the service answers, not that Shell's does."""
    return {"status": "ok"}
