"""Find, start, show and stop, as views; three plain ones and an asynchronous one, over the same blocking client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_POST
from http_problems import CONTENT_TYPE, problem_of

from shell_ev import PERSONAL_FIELDS, ChargeSession, ShellEVError
from shell_ev.export import Json

from .apps import charging


class ShellEVErrors:
    """Middleware: every error of the library, as the HTTP answer it amounts to."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing to do on the way."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for what the library raised, and for nothing else."""
        if not isinstance(error, ShellEVError):
            return None
        problem = problem_of(error)
        return JsonResponse(problem.body, status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE)


@require_GET
def find_chargers(request: HttpRequest) -> JsonResponse:
    """The free EVSEs around a place, nearest first."""
    try:
        latitude, longitude = float(request.GET["latitude"]), float(request.GET["longitude"])
    except (KeyError, ValueError):
        return JsonResponse({"detail": "latitude and longitude are needed, in degrees"}, status=400)
    nearby = charging().ev.locations.nearby(latitude, longitude, evse_status="Available", limit=25)
    found = [evse.evse_id for location in nearby.data for evse in location.available_evses()]
    return JsonResponse({"evse_ids": found})


@require_POST
def start_charge(request: HttpRequest) -> JsonResponse:
    """Start a charge: 202 once it is accepted, which is not yet charging."""
    try:
        key, order = request.headers["Idempotency-Key"], json.loads(request.body)
        card, evse_id = order["card"], order["evse_id"]
    except (KeyError, TypeError, ValueError):
        detail = "an Idempotency-Key header and a JSON body with card and evse_id are needed"
        return JsonResponse({"detail": detail}, status=400)
    charge = charging().ev.start_charge(card, evse_id, key=key, start_timeout=settings.CHARGES_PATIENCE)
    return JsonResponse({"session_id": charge.session_id}, status=202)


@require_GET
async def show_charge(request: HttpRequest, session_id: UUID) -> JsonResponse:
    """Look at a charge. In a thread, since the call blocks; many of these wait side by side."""
    return JsonResponse(await asyncio.to_thread(lambda: as_json(charging().ev.attach(own(session_id)).refresh())))


@require_POST
def stop_charge(request: HttpRequest, session_id: UUID) -> JsonResponse:
    """Stop a charge and see it stopped. One that has stopped already is a success."""
    charge = charging().ev.attach(own(session_id), stop_timeout=settings.CHARGES_PATIENCE)
    return JsonResponse(as_json(charge.stop()))


def own(session_id: UUID) -> UUID:
    """The id of a charge of the journal; any other one is a 404, also for those who guess it."""
    if charging().ev.journal.find(session_id=str(session_id)) is None:
        raise Http404("no such charge")
    return session_id


def as_json(session: ChargeSession) -> dict[str, Json]:
    """A session as JSON has it, without the card and the account."""
    return session.to_dict(redact=PERSONAL_FIELDS)
