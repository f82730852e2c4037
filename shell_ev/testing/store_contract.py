"""What every store must do, as tests: for stores of one's own. Needs no pytest plugin.

::

    from shell_ev.testing.store_contract import store_contract

    TestMyStore = store_contract(lambda name: MyStore(name))
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import attrs

from ..errors import ShellEVError
from ..store import journal
from ..store.base import Store, clock, new_owner
from ..store.journal import Entry, State

MakeStore = Callable[[str], Store]

_NAMESPACE = "api.shell.com/contract"
#: How long something that comes by itself may take, in seconds.
_PATIENCE = 30.0


def store_contract(make_store: MakeStore) -> type[StoreContract]:
    """A class of tests for a store.

    Args:
        make_store: Opens the store of a name, anew at each call: called twice with one name it gives two stores over
            the same data, as two processes have them. Names are unique to a test and consist of letters and digits.

    Returns:
        A class that pytest collects when a module has it under a name that begins with ``Test``.
    """

    class ContractOfOneStore(StoreContract):
        def make_store(self, name: str) -> Store:
            return make_store(name)

    return ContractOfOneStore


def _entry(key: str = "order-1", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "namespace": _NAMESPACE,
        "key": key,
        "request_id": str(uuid.uuid4()),
        "api_version": "v2",
        "evse": f"NLTNME{key}",
        "evse_id": f"NL*TNM*E{key}",
        "card_digest": "name:digest",
        "created_at": 1_700_000_000.0,
    }
    return Entry(**(values | changes))


class StoreContract:
    """The tests, each on a store of its own. Made by :func:`store_contract`; a subclass may define ``make_store``."""

    def make_store(self, name: str) -> Store:
        """Open the store of a name."""
        raise NotImplementedError("call store_contract, or define make_store")

    @contextmanager
    def _opened(self, count: int = 1) -> Generator[tuple[Store, ...]]:
        name = f"contract{uuid.uuid4().hex}"
        stores: list[Store] = []
        try:
            stores += [self.make_store(name) for _ in range(count)]
            yield tuple(stores)
        finally:
            for store in stores:
                store.close()

    def _run(self, test: Callable[..., Awaitable[None]], count: int = 1) -> None:
        async def run(stores: tuple[Store, ...]) -> None:
            await test(*stores)

        with self._opened(count) as stores:
            asyncio.run(run(stores))

    # -- entries ---------------------------------------------------------------------------------------------------

    def test_an_entry_comes_back_as_it_was_written(self) -> None:
        """Every field, through another store over the same data."""

        async def test(store: Store, other: Store) -> None:
            full = _entry(
                "order 'ü' \\ %s \"1\"",
                card=b"\x00sealed\xff",
                state=State.UNKNOWN,
                session_id="session-1",
                on_crash="stop",
                owner="host.1.ab",
                fence=2**40,
                sent_at=1_700_000_001.123456,
                sent_at_error=0.25,
                not_ours=("one", "two"),
                ended_state="STOPPED",
                ended_error="E0001",
                over_at=1_700_000_002.5,
                looked_since=1_700_000_003.5,
                looks=7,
                answered_for=12.5,
                next_look_at=1_700_000_004.5,
            )
            assert await store.insert(full) is None
            assert await other.get(_NAMESPACE, full.key) == full
            bare = _entry("bare")
            assert await store.insert(bare) is None
            assert await other.get(_NAMESPACE, "bare") == bare
            assert await store.get(_NAMESPACE, "none") is None
            assert await store.get("elsewhere", "bare") is None

        self._run(test, 2)

    def test_a_key_is_given_once_in_a_namespace(self) -> None:
        """The second insert gets the entry of the first."""

        async def test(store: Store, other: Store) -> None:
            first = _entry()
            assert await store.insert(first) is None
            conflict = await other.insert(_entry(evse="another", card_digest="another"))
            assert conflict is not None
            assert conflict.over == "key"
            assert conflict.entry == first
            assert await other.insert(_entry(namespace="elsewhere")) is None

        self._run(test, 2)

    def test_an_evse_has_one_open_start_in_a_namespace(self) -> None:
        """Whether the second start is inserted as sent or becomes sent; other states are free."""

        async def test(store: Store) -> None:
            first = _entry("first", evse="E", state=State.SENT)
            assert await store.insert(first) is None
            conflict = await store.insert(_entry("second", evse="E", state=State.SENT))
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("evse", first)
            assert await store.get(_NAMESPACE, "second") is None
            waiting = _entry("second", evse="E")
            assert await store.insert(waiting) is None
            intent = journal.sent(waiting, sent_at=1.0, sent_at_error=1.0)
            conflict = await store.replace(intent, waiting.fence)
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("evse", first)
            assert await store.get(_NAMESPACE, "second") == waiting
            assert await store.insert(_entry("third", evse="E", state=State.SENT, namespace="elsewhere")) is None
            assert await store.replace(journal.accepted(first, "session-1"), first.fence) is None
            assert await store.replace(intent, waiting.fence) is None

        self._run(test)

    def test_a_session_belongs_to_one_entry_in_a_namespace(self) -> None:
        """The second entry that takes a session id is not written."""

        async def test(store: Store) -> None:
            first = _entry("first", state=State.ACCEPTED, session_id="S")
            second = _entry("second", state=State.SENT)
            assert await store.insert(first) is None
            assert await store.insert(second) is None
            conflict = await store.replace(journal.accepted(second, "S"), second.fence)
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("session", first)
            assert await store.get(_NAMESPACE, "second") == second
            conflict = await store.insert(_entry("third", state=State.ACCEPTED, session_id="S"))
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("session", first)
            assert await store.insert(_entry(state=State.ACCEPTED, session_id="S", namespace="elsewhere")) is None
            assert await store.replace(journal.accepted(first, "S"), first.fence) is None, "its own session"

        self._run(test)

    def test_a_write_needs_the_fence_of_the_entry(self) -> None:
        """After a takeover the former owner is fenced off, and sees by what."""

        async def test(store: Store, other: Store) -> None:
            mine = _entry(owner="one", state=State.SENT)
            assert await store.insert(mine) is None
            taken = journal.taken_over(mine, "two")
            assert await other.replace(taken, mine.fence) is None
            conflict = await store.replace(journal.accepted(mine, "S"), mine.fence)
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("fence", taken)
            assert not await store.delete(_NAMESPACE, mine.key, mine.fence)
            assert await store.get(_NAMESPACE, mine.key) == taken
            assert await other.replace(journal.released(taken), taken.fence) is None
            assert await other.delete(_NAMESPACE, mine.key, taken.fence)
            assert await store.get(_NAMESPACE, mine.key) is None
            assert await other.delete(_NAMESPACE, mine.key, taken.fence), "it is gone"
            conflict = await store.replace(mine, mine.fence)
            assert conflict is not None
            assert (conflict.over, conflict.entry) == ("fence", None)

        self._run(test, 2)

    def test_entries_are_found_by_session_request_and_open_evse(self) -> None:
        """A RequestId may have several entries, the newest first."""

        async def test(store: Store) -> None:
            old = _entry("old", request_id="R", created_at=1.0, state=State.ACCEPTED, session_id="S", evse="E")
            new = _entry("new", request_id="R", created_at=2.0, state=State.SENT, evse="E")
            for entry in (old, new, _entry("else", request_id="R", namespace="elsewhere")):
                assert await store.insert(entry) is None
            assert await store.find(_NAMESPACE, request_id="R") == (new, old)
            assert await store.find(_NAMESPACE, session_id="S") == (old,)
            assert await store.find(_NAMESPACE, evse="E") == (new,), "the open start alone"
            assert await store.find(_NAMESPACE, session_id="none") == ()

        self._run(test)

    def test_entries_are_listed_in_the_order_of_their_making_and_by_pages(self) -> None:
        """Open ones, or all; a write does not move an entry."""

        async def test(store: Store) -> None:
            made = [
                _entry(f"{state.value}{number}", state=state, created_at=float(number))
                for number, state in enumerate([*State, *State])
            ]
            # The second half has no card left.
            made[: len(State)] = [attrs.evolve(entry, card=b"sealed") for entry in made[: len(State)]]
            for entry in reversed(made):
                assert await store.insert(attrs.evolve(entry, evse=entry.key)) is None
            keys = [entry.key for entry in made]
            closed = ("over", f"given_up{len(State) + list(State).index(State.GIVEN_UP)}")
            everything = await store.entries(_NAMESPACE, only_open=False)
            assert [entry.key for entry in everything] == keys
            is_open = [key for key in keys if not key.startswith(closed)]
            assert [entry.key for entry in await store.entries(_NAMESPACE)] == is_open
            page = await store.entries(_NAMESPACE, limit=3)
            assert [entry.key for entry in page] == is_open[:3]
            rest = await store.entries(_NAMESPACE, after=page[-1], limit=100)
            assert [entry.key for entry in rest] == is_open[3:]
            assert await store.entries("elsewhere", only_open=False) == ()
            assert await store.replace(attrs.evolve(everything[0], created_at=99.0), 1) is None
            assert [entry.key for entry in await store.entries(_NAMESPACE, only_open=False)] == keys

        self._run(test)

    def test_only_what_ended_long_ago_is_pruned(self) -> None:
        """Open and unknown entries never are."""

        async def test(store: Store) -> None:
            for state in State:
                assert await store.insert(_entry(state.value, state=state, over_at=100.0)) is None
            assert await store.insert(_entry("late", state=State.OVER, over_at=200.0)) is None
            assert await store.insert(_entry("else", state=State.OVER, over_at=1.0, namespace="elsewhere")) is None
            assert await store.prune(_NAMESPACE, 150.0) == 2
            left = {entry.key for entry in await store.entries(_NAMESPACE, only_open=False)}
            assert left == {state.value for state in State} - {"over", "given_up"} | {"late"}
            assert await store.get("elsewhere", "else") is not None

        self._run(test)

    # -- owners ----------------------------------------------------------------------------------------------------

    def test_an_owner_lives_until_it_leaves_or_its_store_is_closed(self) -> None:
        """Another store over the same data sees it."""

        async def test(store: Store, other: Store) -> None:
            one, two = new_owner(), new_owner()
            assert store.sends_until(one) == float("-inf")
            assert await other.alive([one, two]) == set()
            await store.enrol(one)
            await store.enrol(two)
            await store.enrol(one)
            assert await other.alive([one, two, "another"]) == {one, two}
            assert await store.alive([one, two]) == {one, two}
            assert await other.alive([]) == set()
            assert store.sends_until(one) > clock() + 30.0
            assert other.sends_until(one) == float("-inf")
            await store.leave(one)
            await store.leave(one)
            assert store.sends_until(one) == float("-inf")
            assert await other.alive([one, two]) == {two}
            await store.aclose()
            assert await other.alive([one, two]) == set()

        self._run(test, 2)

    def test_the_clock_of_the_store_advances(self) -> None:
        """And is the same for all who share it."""

        async def test(store: Store, other: Store) -> None:
            begun = await store.now()
            there = await other.now()
            assert abs(there - begun) < _PATIENCE
            assert await store.now() >= begun

        self._run(test, 2)

    # -- token -----------------------------------------------------------------------------------------------------

    def test_a_token_is_fetched_by_one_and_read_by_all(self) -> None:
        """The lease is exclusive, and only its owner writes."""

        async def test(store: Store, other: Store) -> None:
            assert await store.read_token("T") is None
            assert await store.lease_token("T", "one", 60.0)
            assert await store.lease_token("T", "one", 60.0), "its own lease"
            assert not await other.lease_token("T", "two", 60.0)
            assert await other.lease_token("another", "two", 60.0)
            assert not await other.write_token("T", "two", b"not kept", 60.0)
            assert await store.write_token("T", "one", b"\x00sealed", 60.0)
            token = await other.read_token("T")
            assert token is not None
            assert token.sealed == b"\x00sealed"
            assert 0.0 < token.ends_in <= 60.0
            assert not await store.write_token("T", "one", b"not kept", 60.0), "the lease has ended"
            assert await other.lease_token("T", "two", 60.0)
            still = await other.read_token("T")
            assert still is not None, "it is renewed while it serves on"
            assert still.version == token.version
            await other.end_token_lease("T", "one")
            assert not await store.lease_token("T", "one", 60.0), "the lease of another is not ended"
            await other.end_token_lease("T", "two")
            assert await store.lease_token("T", "one", 60.0)

        self._run(test, 2)

    def test_a_refused_token_is_dropped_once(self) -> None:
        """By its version: a token that was renewed meanwhile stays."""

        async def test(store: Store, other: Store) -> None:
            versions: list[int] = []
            for sealed in (b"first", b"second"):
                assert await store.lease_token("T", "one", 60.0)
                assert await store.write_token("T", "one", sealed, float("inf"))
                token = await store.read_token("T")
                assert token is not None
                versions.append(token.version)
            assert not await other.drop_token("T", versions[0])
            token = await other.read_token("T")
            assert token is not None
            assert (token.sealed, token.ends_in) == (b"second", float("inf"))
            assert await other.drop_token("T", versions[1])
            assert await store.read_token("T") is None

        self._run(test, 2)

    def test_a_token_ends_and_a_lease_ends_on_the_clock_of_the_store(self) -> None:
        """The lease of a process that died keeps nothing from the others."""

        async def test(store: Store, other: Store) -> None:
            assert await store.lease_token("T", "dead", 0.01)
            await _until(lambda: other.lease_token("T", "two", 60.0))
            assert not await store.write_token("T", "dead", b"too late", 60.0)
            assert await other.write_token("T", "two", b"short", 0.01)

            async def has_ended() -> bool:
                return await store.read_token("T") is None

            await _until(has_ended)

        self._run(test, 2)

    # -- budget ----------------------------------------------------------------------------------------------------

    def test_slots_come_at_the_rate_for_all_who_share_the_budget(self) -> None:
        """Ten a second: the slot after n others is n tenths away, less the time that has passed."""

        async def test(store: Store, other: Store) -> None:
            begun = time.monotonic()
            waits = [await which.reserve("B", 10.0, 1.0, 60.0) for which in (store, other) * 5]
            passed = time.monotonic() - begun
            for number, wait in enumerate(waits):
                assert number * 0.1 - passed - 0.01 <= wait <= number * 0.1 + passed + 0.01
            assert await store.reserve("another", 10.0, 1.0, 60.0) < 0.01

        self._run(test, 2)

    def test_a_burst_is_free_and_a_slot_beyond_the_wait_is_not_taken(self) -> None:
        """One slot in 1,000 seconds, three at once."""

        async def test(store: Store) -> None:
            assert [await store.reserve("B", 0.001, 3.0, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
            for _ in range(3):
                assert 900.0 < await store.reserve("B", 0.001, 3.0, 10.0) <= 1000.0
            assert 900.0 < await store.reserve("B", 0.001, 3.0, 1000.0) <= 1000.0
            assert 1900.0 < await store.reserve("B", 0.001, 3.0, 10.0) <= 2000.0

        self._run(test)

    def test_an_urgent_slot_is_taken_at_once_and_owed(self) -> None:
        """Also from a budget that is spent."""

        async def test(store: Store) -> None:
            assert await store.reserve("B", 0.001, 1.0, 0.0) == 0.0
            assert await store.reserve("B", 0.001, 1.0, 0.0, urgent=True) == 0.0
            assert await store.reserve("B", 0.001, 1.0, 0.0, urgent=True) == 0.0
            assert 2900.0 < await store.reserve("B", 0.001, 1.0, 10.0) <= 3000.0

        self._run(test)

    def test_a_push_back_holds_for_all_at_most_60_seconds(self) -> None:
        """Bursts included; a longer wait that is there already stays."""

        async def test(store: Store, other: Store) -> None:
            await store.push_back("B", 1e6, 2.0)
            assert 30.0 < await other.reserve("B", 1.0, 3.0, 0.0) <= 60.0
            assert await other.reserve("B", 1.0, 3.0, 0.0, urgent=True) == 0.0
            assert await store.reserve("C", 0.001, 1.0, 0.0) == 0.0
            await store.push_back("C", 5.0, 0.0)
            assert await other.reserve("C", 0.001, 1.0, 0.0) > 900.0

        self._run(test, 2)

    # -- many at once ----------------------------------------------------------------------------------------------

    def test_of_many_who_claim_a_key_or_take_over_an_entry_one_succeeds(self) -> None:
        """Eight stores over the same data, at once."""

        async def test(*stores: Store) -> None:
            for number in range(10):
                key, evse = f"order-{number}", f"EVSE-{number}"
                claims = [_entry(key, owner=str(index)) for index in range(len(stores))]
                won = await asyncio.gather(*(s.insert(e) for s, e in zip(stores, claims, strict=True)))
                assert won.count(None) == 1
                entry = claims[won.index(None)]
                taken = [journal.taken_over(entry, f"new {index}") for index in range(len(stores))]
                won = await asyncio.gather(*(s.replace(e, entry.fence) for s, e in zip(stores, taken, strict=True)))
                assert won.count(None) == 1
                assert await stores[0].get(_NAMESPACE, key) == taken[won.index(None)]
                starts = [_entry(f"{key}-{index}", evse=evse, state=State.SENT) for index in range(len(stores))]
                won = await asyncio.gather(*(s.insert(e) for s, e in zip(stores, starts, strict=True)))
                assert won.count(None) == 1

        self._run(test, 8)

    def test_slots_that_many_take_at_once_are_all_different(self) -> None:
        """Eight stores over the same data, at once: one slot in 100 seconds each."""

        async def test(*stores: Store) -> None:
            waits = sorted(await asyncio.gather(*(store.reserve("B", 0.01, 1.0, 1e6) for store in stores * 4)))
            for number, wait in enumerate(waits):
                assert number * 100.0 - _PATIENCE < wait < number * 100.0 + _PATIENCE

        self._run(test, 8)

    def test_one_store_serves_several_event_loops(self) -> None:
        """Each in a thread of its own, at once; no write of one is lost."""
        failures: list[BaseException] = []

        async def write(store: Store, number: int) -> None:
            for index in range(20):
                key = f"order-{number}-{index}"
                assert await store.insert(_entry(key)) is None
                assert await store.get(_NAMESPACE, key) is not None

        def serve(store: Store, number: int) -> None:
            try:
                asyncio.run(write(store, number))
            except BaseException as error:
                failures.append(error)

        with self._opened() as (store,):
            threads = [threading.Thread(target=serve, args=(store, number)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            assert len(asyncio.run(_all_of(store))) == 80

    def test_a_sound_store_has_nothing_to_complain_of(self) -> None:
        """Also when it is checked before its first use."""

        async def test(store: Store) -> None:
            assert await store.check() == ()
            assert await store.insert(_entry()) is None
            assert await store.check() == ()

        self._run(test)

    def test_a_store_is_closed_with_or_without_a_loop_and_more_than_once(self) -> None:
        """Then it refuses every call with an error of the library."""

        async def use(store: Store) -> None:
            await store.insert(_entry())

        async def close(store: Store) -> None:
            await store.aclose()
            await store.aclose()

        with self._opened(2) as (store, other):
            asyncio.run(use(store))
            store.close()
            store.close()
            asyncio.run(close(other))
            other.close()
            for closed in (store, other):
                try:
                    asyncio.run(use(closed))
                except ShellEVError:
                    continue
                raise AssertionError("a closed store was used")


async def _all_of(store: Store) -> tuple[Entry, ...]:
    return await store.entries(_NAMESPACE)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that comes by itself has come."""
    ends_at = time.monotonic() + _PATIENCE
    while not await condition():
        assert time.monotonic() < ends_at, f"it did not come in {_PATIENCE:g} s"
        await asyncio.sleep(0.005)
