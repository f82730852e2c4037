"""What users see of types, on both clients: exact types, and calls that must not pass.

Checked by mypy --strict and pyright strict, never run. A line with an ``ignore`` is a call that has to be refused: both
checkers complain about an ignore that is not needed, so a refusal that gets lost is an error here.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any, assert_type
from uuid import UUID

from shell_ev import (
    Accessibility,
    AccessibilityStatus,
    Address,
    ApiError,
    ApiResponse,
    ApiVersion,
    AsyncCharge,
    AsyncShellEV,
    AuthorizationMethod,
    ChargeSession,
    ClientConfig,
    Connector,
    ConnectorType,
    Coordinates,
    DayOfWeek,
    ElectricalProperties,
    ElementTariff,
    EmaId,
    EnvelopeStatus,
    ErrorDetail,
    Evse,
    EvseId,
    EvseStatus,
    FlatTariff,
    Location,
    LocationMarker,
    MultiLocationMarker,
    OpeningHours,
    OutcomeUnknownError,
    PowerRange,
    PowerType,
    PriceComponent,
    PriceComponentType,
    ResponseDecodeError,
    SessionError,
    SessionErrorCode,
    SessionState,
    ShellEV,
    ShellEVError,
    SingleLocationMarker,
    StartedSession,
    StaticToken,
    TariffAltText,
    TariffElement,
    TariffRestrictions,
    TariffType,
    Timeout,
    TransportError,
    UnknownLocationMarker,
    UpdatedBy,
    ValidationError,
    WeekDay,
)
from shell_ev.sync import Charge


async def async_charging(ev: AsyncShellEV, at: datetime, number: UUID, card: EmaId, evse: EvseId) -> None:
    assert_type(await ev.charging.start("card", "evse"), ApiResponse[StartedSession])
    assert_type(
        await ev.charging.start(
            card, evse, request_id=number, timeout=Timeout(total=5), max_retries=0, headers={"X-A": "1"}
        ),
        ApiResponse[StartedSession],
    )
    assert_type(await ev.charging.stop("id", request_id="id", timeout=1.5), ApiResponse[None])
    assert_type(await ev.charging.stop(number), ApiResponse[None])
    assert_type(await ev.charging.retrieve(number), ApiResponse[ChargeSession])
    assert_type(await ev.charging.active(card), ApiResponse[tuple[ChargeSession, ...]])
    assert_type((await ev.charging.start("card", "evse")).data.session_id, str)
    assert_type((await ev.charging.stop("id")).data, None)


def blocking_charging(ev: ShellEV, at: datetime, number: UUID, card: EmaId, evse: EvseId) -> None:
    assert_type(ev.charging.start("card", "evse"), ApiResponse[StartedSession])
    assert_type(
        ev.charging.start(card, evse, request_id=number, timeout=Timeout(total=5), max_retries=0, headers={"X-A": "1"}),
        ApiResponse[StartedSession],
    )
    assert_type(ev.charging.stop("id", request_id="id", timeout=1.5), ApiResponse[None])
    assert_type(ev.charging.stop(number), ApiResponse[None])
    assert_type(ev.charging.retrieve(number), ApiResponse[ChargeSession])
    assert_type(ev.charging.active(card), ApiResponse[tuple[ChargeSession, ...]])
    assert_type(ev.charging.start("card", "evse").data.session_id, str)
    assert_type(ev.charging.stop("id").data, None)


async def async_locations(ev: AsyncShellEV, at: datetime) -> None:
    assert_type(await ev.locations.list(), ApiResponse[tuple[Location, ...]])
    assert_type(
        await ev.locations.list(
            evse_status=EvseStatus.AVAILABLE,
            connector_types=[ConnectorType.TYPE_2, "Tesla"],
            authorization_methods=("PnC",),
            updated_since=at,
            country=["NLD"],
            page_number=2,
            per_page=100,
        ),
        ApiResponse[tuple[Location, ...]],
    )
    assert_type(await ev.locations.get("uid", provider_id="p", since=at), ApiResponse[Location])
    assert_type(await ev.locations.nearby(52.1, 4, limit=3), ApiResponse[tuple[Location, ...]])
    assert_type(
        await ev.locations.markers(west=1, south=2.5, east=3, north=4, zoom=10), ApiResponse[tuple[LocationMarker, ...]]
    )
    assert_type(ev.locations.iterate(country="NLD"), AsyncIterator[Location])
    async for location in ev.locations.iterate():
        assert_type(location, Location)


def blocking_locations(ev: ShellEV, at: datetime) -> None:
    assert_type(ev.locations.list(), ApiResponse[tuple[Location, ...]])
    assert_type(
        ev.locations.list(
            evse_status=EvseStatus.AVAILABLE,
            connector_types=[ConnectorType.TYPE_2, "Tesla"],
            authorization_methods=("PnC",),
            updated_since=at,
            country=["NLD"],
            page_number=2,
            per_page=100,
        ),
        ApiResponse[tuple[Location, ...]],
    )
    assert_type(ev.locations.get("uid", provider_id="p", since=at), ApiResponse[Location])
    assert_type(ev.locations.nearby(52.1, 4, limit=3), ApiResponse[tuple[Location, ...]])
    assert_type(
        ev.locations.markers(west=1, south=2.5, east=3, north=4, zoom=10), ApiResponse[tuple[LocationMarker, ...]]
    )
    assert_type(ev.locations.iterate(country="NLD"), Iterator[Location])
    for location in ev.locations.iterate():
        assert_type(location, Location)


async def async_charges(ev: AsyncShellEV, error: ShellEVError, number: UUID) -> None:
    async with ev.charge("card", "evse", start_timeout=180) as charge:
        assert_type(charge, AsyncCharge)
        assert_type(charge.changes(), AsyncIterator[ChargeSession])
        async for session in charge.changes():
            assert_type(session, ChargeSession)
    started = await ev.start_charge("card", "evse")
    assert_type(started, AsyncCharge)
    assert_type(await started.wait_started(timeout=5), ChargeSession)
    assert_type(await started.refresh(), ChargeSession)
    assert_type(await started.stop(), ChargeSession)
    assert_type(started.session_id, str)
    assert_type(started.request_id, str | None)
    assert_type(started.session, ChargeSession)
    assert_type(started.state, SessionState | None)
    assert_type(started.is_over, bool)
    assert_type(ev.attach(number), AsyncCharge)
    assert_type(await ev.reconcile(error), AsyncCharge)
    assert_type(ev.follow([started, "id", number]), AsyncIterator[tuple[str, ChargeSession]])
    await ev.start_charge("card", "evse", keep_running=True)  # type: ignore[call-arg]


def blocking_charges(ev: ShellEV, error: ShellEVError, number: UUID) -> None:
    with ev.charge("card", "evse", start_timeout=180) as charge:
        assert_type(charge, Charge)
        assert_type(charge.changes(), Iterator[ChargeSession])
        for session in charge.changes():
            assert_type(session, ChargeSession)
    started = ev.start_charge("card", "evse")
    assert_type(started, Charge)
    assert_type(started.wait_started(timeout=5), ChargeSession)
    assert_type(started.refresh(), ChargeSession)
    assert_type(started.stop(), ChargeSession)
    assert_type(started.session_id, str)
    assert_type(started.request_id, str | None)
    assert_type(started.session, ChargeSession)
    assert_type(started.state, SessionState | None)
    assert_type(started.is_over, bool)
    assert_type(ev.attach(number), Charge)
    assert_type(ev.reconcile(error), Charge)
    assert_type(ev.follow([started, "id", number]), Iterator[tuple[str, ChargeSession]])
    ev.start_charge("card", "evse", keep_running=True)  # type: ignore[call-arg]


async def async_client(environ: Mapping[str, str]) -> None:
    assert_type(AsyncShellEV("id", "secret", api_version="v1", timeout=3), AsyncShellEV)
    assert_type(AsyncShellEV(token_source=StaticToken("t"), api_version=ApiVersion.V1), AsyncShellEV)
    assert_type(AsyncShellEV.from_env(environ, max_retries=1), AsyncShellEV)
    async with AsyncShellEV("id", "secret") as ev:
        assert_type(ev, AsyncShellEV)
        assert_type(ev.with_options(timeout=Timeout(), max_retries=1), AsyncShellEV)
        assert_type(ev.config, ClientConfig)
        await ev.aclose()


def blocking_client(environ: Mapping[str, str]) -> None:
    assert_type(ShellEV("id", "secret", api_version="v1", timeout=3), ShellEV)
    assert_type(ShellEV(token_source=StaticToken("t"), api_version=ApiVersion.V1), ShellEV)
    assert_type(ShellEV.from_env(environ, max_retries=1), ShellEV)
    with ShellEV("id", "secret") as ev:
        assert_type(ev, ShellEV)
        assert_type(ev.with_options(timeout=Timeout(), max_retries=1), ShellEV)
        assert_type(ev.config, ClientConfig)
        ev.close()


async def async_refused(ev: AsyncShellEV) -> None:
    await ev.charging.start("card")  # type: ignore[call-arg]
    await ev.charging.start("card", 5)  # type: ignore[arg-type]
    await ev.charging.start("card", "evse", "request")  # type: ignore[call-arg, arg-type]
    await ev.charging.stop("id", request_id=5)  # type: ignore[arg-type]
    await ev.charging.retrieve(session="id")  # type: ignore[call-arg]
    await ev.charging.active("ema", timeout="5")  # type: ignore[arg-type]
    await ev.locations.nearby("52", 4)  # type: ignore[arg-type]
    await ev.locations.list(per_page="5")  # type: ignore[arg-type]
    await ev.locations.list(evse_state="Available")  # type: ignore[call-arg]
    await ev.locations.markers(west=1, south=2, east=3, zoom=1)  # type: ignore[call-arg]
    for _ in ev.locations.iterate():  # type: ignore[attr-defined]
        pass
    print(ev.charging.retrieve("id").data)  # type: ignore[attr-defined]
    with ev:  # type: ignore[attr-defined]
        pass
    await ev.locations.list(contry="NLD")  # type: ignore[call-arg]
    ev.locations.iterate(page_number=1)  # type: ignore[call-arg]
    await ev.locations.get("uid", country="NLD")  # type: ignore[call-arg]
    await ev.locations.nearby(52, 4, per_page=1)  # type: ignore[call-arg]
    await ev.charging.start("card", "evse", retries=3)  # type: ignore[call-arg]
    AsyncShellEV("id", "secret", retries=3)  # type: ignore[call-arg]
    AsyncShellEV.from_env(timeuot=3)  # type: ignore[call-arg]
    AsyncShellEV.from_env(timeout="3")  # type: ignore[arg-type]
    ev.with_options(base_url="https://ev.example")  # type: ignore[call-arg]


def blocking_refused(ev: ShellEV) -> None:
    ev.charging.start("card")  # type: ignore[call-arg]
    ev.charging.start("card", 5)  # type: ignore[arg-type]
    ev.charging.start("card", "evse", "request")  # type: ignore[call-arg, arg-type]
    ev.charging.stop("id", request_id=5)  # type: ignore[arg-type]
    ev.charging.retrieve(session="id")  # type: ignore[call-arg]
    ev.charging.active("ema", timeout="5")  # type: ignore[arg-type]
    ev.locations.nearby("52", 4)  # type: ignore[arg-type]
    ev.locations.list(per_page="5")  # type: ignore[arg-type]
    ev.locations.list(evse_state="Available")  # type: ignore[call-arg]
    ev.locations.markers(west=1, south=2, east=3, zoom=1)  # type: ignore[call-arg]
    ev.locations.list(contry="NLD")  # type: ignore[call-arg]
    ev.locations.iterate(page_number=1)  # type: ignore[call-arg]
    ev.charging.start("card", "evse", retries=3)  # type: ignore[call-arg]
    ShellEV("id", "secret", retries=3)  # type: ignore[call-arg]
    ShellEV("id", "secret", http_session=None)  # type: ignore[call-arg]
    ShellEV.from_env(timeuot=3)  # type: ignore[call-arg]
    ev.with_options(base_url="https://ev.example")  # type: ignore[call-arg]


async def blocking_is_not_awaited(ev: ShellEV) -> None:
    await ev.charging.retrieve("id")  # type: ignore[misc]
    async for _ in ev.locations.iterate():  # type: ignore[attr-defined]
        pass
    async with ev:  # type: ignore[attr-defined]
        pass


def api_response(it: ApiResponse[ChargeSession]) -> None:
    assert_type(it.data, ChargeSession)
    assert_type(it.request_id, str)
    assert_type(it.status, EnvelopeStatus | None)
    assert_type(it.status_code, int)
    assert_type(it.headers, Mapping[str, str])
    assert_type(it.body, bytes)
    assert_type(it.attempts, int)
    assert_type(it.elapsed, float)
    assert_type(it.problems, tuple[str, ...])
    it.status_code = 200  # type: ignore[misc]


def what_a_session_says(session: ChargeSession) -> None:
    assert_type(SessionState("paused"), SessionState)
    assert_type(SessionState.STARTED.is_known, bool)
    if session.state is not None:
        text: str = session.state.value
        print(text)
    print(session.state.value)  # type: ignore[union-attr]
    session.id = "other"  # type: ignore[misc]
    ChargeSession("id")  # type: ignore[call-arg]
    print(Location().evses[0].connectors[0].tariff.per_kwh)  # type: ignore[union-attr]


def what_a_location_has(location: Location, at: datetime) -> None:
    assert_type(location.evse("id"), Evse | None)
    assert_type(location.available_evses("Type2", 50), tuple[Evse, ...])
    assert_type(location.available_evses(ConnectorType.TYPE_2), tuple[Evse, ...])
    assert_type(location.distance_km(52, 4.5), float | None)
    assert_type(location.is_open(at), bool | None)
    assert_type(Evse().has_connector("Type2", 11), bool)
    location.is_open("now")  # type: ignore[arg-type]


def markers_are_distinguished(marker: LocationMarker) -> None:
    assert_type(marker, SingleLocationMarker | MultiLocationMarker | UnknownLocationMarker)
    match marker:
        case SingleLocationMarker():
            assert_type(marker.location_uid, str | None)
        case MultiLocationMarker():
            assert_type(marker.location_count, int | None)
        case UnknownLocationMarker():
            assert_type(marker.raw, Mapping[str, Any])


def errors(
    base: ShellEVError,
    api: ApiError,
    transport: TransportError,
    unknown: OutcomeUnknownError,
    unread: ResponseDecodeError,
    invalid: ValidationError,
) -> None:
    assert_type(base.outcome_unknown, bool)
    assert_type(api.status_code, int)
    assert_type(api.code, str | None)
    assert_type(api.message, str | None)
    assert_type(api.errors, tuple[ErrorDetail, ...])
    assert_type(api.request_id, str | None)
    assert_type(api.headers, Mapping[str, str])
    assert_type(api.body, bytes)
    assert_type(api.attempts, int)
    assert_type(api.retry_after, float | None)
    assert_type(transport.request_id, str | None)
    assert_type(transport.attempts, int)
    assert_type(transport.request_sent, bool)
    assert_type(unknown.operation, str | None)
    assert_type(unknown.arguments, dict[str, Any])
    assert_type(unknown.sent_at, datetime | None)
    assert_type(unread.problems, tuple[str, ...])
    assert_type(unread.excerpt, str)
    assert_type(invalid.faults, tuple[str, ...])


def charge_session(it: ChargeSession) -> None:
    assert_type(it.id, str | None)
    assert_type(it.user_id, str | None)
    assert_type(it.ema_id, str | None)
    assert_type(it.evse_id, str | None)
    assert_type(it.state, SessionState | None)
    assert_type(it.error, SessionError | None)
    assert_type(it.started_at, datetime | None)
    assert_type(it.stopped_at, datetime | None)
    assert_type(it.last_updated, datetime | None)


def session_error(it: SessionError) -> None:
    assert_type(it.code, SessionErrorCode | None)
    assert_type(it.message, str | None)


def started_session(it: StartedSession) -> None:
    assert_type(it.session_id, str)


def location(it: Location) -> None:
    assert_type(it.uid, str | None)
    assert_type(it.external_id, str | None)
    assert_type(it.coordinates, Coordinates | None)
    assert_type(it.operator_name, str | None)
    assert_type(it.operator_id, str | None)
    assert_type(it.address, Address | None)
    assert_type(it.accessibility, Accessibility | None)
    assert_type(it.evses, tuple[Evse, ...])
    assert_type(it.opening_hours, tuple[OpeningHours, ...])
    assert_type(it.open_twenty_four_seven, bool | None)
    assert_type(it.updated, str | None)
    assert_type(it.operator_comment, str | None)
    assert_type(it.location_type, str | None)
    assert_type(it.max_power_kw, float | None)


def evse(it: Evse) -> None:
    assert_type(it.uid, str | None)
    assert_type(it.external_id, str | None)
    assert_type(it.evse_id, str | None)
    assert_type(it.status, EvseStatus | None)
    assert_type(it.connectors, tuple[Connector, ...])
    assert_type(it.authorization_methods, tuple[AuthorizationMethod, ...])
    assert_type(it.updated, str | None)
    assert_type(it.deleted, str | None)
    assert_type(it.physical_reference, str | None)
    assert_type(it.is_deleted, bool)
    assert_type(it.max_power_kw, float | None)


def connector(it: Connector) -> None:
    assert_type(it.uid, str | None)
    assert_type(it.external_id, str | None)
    assert_type(it.connector_type, ConnectorType | None)
    assert_type(it.electrical_properties, ElectricalProperties | None)
    assert_type(it.fixed_cable, bool | None)
    assert_type(it.tariff, FlatTariff | None)
    assert_type(it.tariffs, tuple[ElementTariff, ...])
    assert_type(it.updated, str | None)
    assert_type(it.updated_by, UpdatedBy | None)
    assert_type(it.deleted, str | None)
    assert_type(it.is_deleted, bool)
    assert_type(it.max_power_kw, float | None)


def electrical_properties(it: ElectricalProperties) -> None:
    assert_type(it.power_type, PowerType | None)
    assert_type(it.voltage, float | None)
    assert_type(it.amperage, float | None)
    assert_type(it.max_electric_power, float | None)


def coordinates(it: Coordinates) -> None:
    assert_type(it.latitude, float | None)
    assert_type(it.longitude, float | None)
    assert_type(it.lon_lat, tuple[float, float] | None)


def address(it: Address) -> None:
    assert_type(it.street_and_number, str | None)
    assert_type(it.postal_code, str | None)
    assert_type(it.city, str | None)
    assert_type(it.country, str | None)


def accessibility(it: Accessibility) -> None:
    assert_type(it.status, AccessibilityStatus | None)
    assert_type(it.remark, str | None)


def opening_hours(it: OpeningHours) -> None:
    assert_type(it.week_day, WeekDay | None)
    assert_type(it.start_time, str | None)
    assert_type(it.end_time, str | None)


def flat_tariff(it: FlatTariff) -> None:
    assert_type(it.start_fee, float | None)
    assert_type(it.per_minute, float | None)
    assert_type(it.per_kwh, float | None)
    assert_type(it.currency, str | None)
    assert_type(it.updated, str | None)
    assert_type(it.updated_by, UpdatedBy | None)
    assert_type(it.structure, str | None)
    assert_type(it.is_free, bool | None)


def element_tariff(it: ElementTariff) -> None:
    assert_type(it.tariff_id, str | None)
    assert_type(it.tariff_type, TariffType | None)
    assert_type(it.power_range, PowerRange | None)
    assert_type(it.internal_id, str | None)
    assert_type(it.operator_id, str | None)
    assert_type(it.provider_id, str | None)
    assert_type(it.currency, str | None)
    assert_type(it.tariff_alt_text, tuple[TariffAltText, ...])
    assert_type(it.min_price, float | None)
    assert_type(it.max_price, float | None)
    assert_type(it.elements, tuple[TariffElement, ...])
    assert_type(it.start_date_time, datetime | None)
    assert_type(it.end_date_time, datetime | None)
    assert_type(it.last_updated, datetime | None)
    assert_type(it.created_by, str | None)
    assert_type(it.is_free, bool | None)


def power_range(it: PowerRange) -> None:
    assert_type(it.min, float | None)
    assert_type(it.max, float | None)


def tariff_alt_text(it: TariffAltText) -> None:
    assert_type(it.language, str | None)
    assert_type(it.text, str | None)


def price_component(it: PriceComponent) -> None:
    assert_type(it.type, PriceComponentType | None)
    assert_type(it.step_size, float | None)
    assert_type(it.price, float | None)
    assert_type(it.vat, float | None)


def tariff_restrictions(it: TariffRestrictions) -> None:
    assert_type(it.start_time, str | None)
    assert_type(it.end_time, str | None)
    assert_type(it.start_date, str | None)
    assert_type(it.end_date, str | None)
    assert_type(it.min_kwh, float | None)
    assert_type(it.max_kwh, float | None)
    assert_type(it.min_current, float | None)
    assert_type(it.max_current, float | None)
    assert_type(it.min_power, float | None)
    assert_type(it.max_power, float | None)
    assert_type(it.min_duration, float | None)
    assert_type(it.max_duration, float | None)
    assert_type(it.day_of_week, tuple[DayOfWeek, ...])


def tariff_element(it: TariffElement) -> None:
    assert_type(it.price_components, tuple[PriceComponent, ...])
    assert_type(it.restrictions, TariffRestrictions | None)


def single_location_marker(it: SingleLocationMarker) -> None:
    assert_type(it.marker_type, str)
    assert_type(it.unique_key, str | None)
    assert_type(it.status, EvseStatus | None)
    assert_type(it.coordinates, Coordinates | None)
    assert_type(it.evse_count, int | None)
    assert_type(it.max_power, float | None)
    assert_type(it.geo_hash, str | None)
    assert_type(it.location_uid, str | None)
    assert_type(it.location_count, int | None)
    assert_type(it.authorization_methods, tuple[AuthorizationMethod, ...])
    assert_type(it.operator_id, str | None)
    assert_type(it.operator_name, str | None)


def multi_location_marker(it: MultiLocationMarker) -> None:
    assert_type(it.marker_type, str)
    assert_type(it.unique_key, str | None)
    assert_type(it.coordinates, Coordinates | None)
    assert_type(it.location_count, int | None)
    assert_type(it.evse_count, int | None)
    assert_type(it.max_power, float | None)
    assert_type(it.geo_hash, str | None)
    assert_type(it.operator_name, str | None)


def unknown_location_marker(it: UnknownLocationMarker) -> None:
    assert_type(it.marker_type, str | None)
    assert_type(it.raw, Mapping[str, Any])


def error_detail(it: ErrorDetail) -> None:
    assert_type(it.code, str | None)
    assert_type(it.message, str | None)
    assert_type(it.description, str | None)
    assert_type(it.details, tuple[str, ...])
    assert_type(it.additional_info, Mapping[str, str | None] | None)


def timeout(it: Timeout) -> None:
    assert_type(it.total, float | None)
    assert_type(it.connect, float | None)
    assert_type(it.read, float | None)
