"""A sandbox of another process, driven through its control API with the methods of `Sandbox`.

Knows HTTP of the standard library and the views; imports neither the server nor the service.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from shell_ev.sandbox.charges import Charge
from shell_ev.sandbox.fault_codec import fault_document
from shell_ev.sandbox.faults import ANY_OPERATION, Fault, WaitingFault
from shell_ev.sandbox.recording import RecordedRequest
from shell_ev.sandbox.views import read_charge, read_request, read_waiting

_ROOT = "/_sandbox/v1"
_ERRORS: dict[int, type[Exception]] = {400: ValueError, 404: KeyError}


class RemoteSandbox:
    """A sandbox that runs in another process. Get one from `Sandbox.connect`.

    Each call blocks until the sandbox has answered. `charges` and `requests` are as of the moment of the call: a
    charge keeps the state it had then, and secrets in requests are masked. A refused argument raises what `Sandbox`
    raises; an answer that is no sandbox's is a RuntimeError, and no answer an OSError.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 10.0) -> None:
        """Connect, see `Sandbox.connect`."""
        self._wire = _Wire(url, timeout)
        if token is not None:
            self._wire.exchange(token)
        about = self._wire.about()
        self.client_id: str = about["client_id"]
        self.client_secret: str = about["client_secret"]
        self._url: str = about["url"]
        self._faults = RemoteFaults(self._wire)
        self.clock: RemoteClock = RemoteClock(self._wire)
        """The clock of the charges: `speed`, `pause()`, `resume()`, `step(seconds)`."""

    @property
    def url(self) -> str:
        """Scheme, host and port of the service, without a slash at the end."""
        return self._url

    @property
    def faults(self) -> RemoteFaults:
        """What goes wrong on demand."""
        return self._faults

    @property
    def console_url(self) -> str:
        """Where the console is."""
        return self._wire.url

    @property
    def env(self) -> dict[str, str]:
        """The `SHELL_EV_*` variables that lead a client to this sandbox."""
        return {
            "SHELL_EV_BASE_URL": self.url,
            "SHELL_EV_CLIENT_ID": self.client_id,
            "SHELL_EV_CLIENT_SECRET": self.client_secret,
        }

    @property
    def requests(self) -> list[RecordedRequest]:
        """The last 10,000 requests, oldest first, secrets masked."""
        found = self._wire.ask("GET", "/requests?detail=true&limit=10000")
        return [read_request(document) for document in found["requests"]]

    @property
    def charges(self) -> list[Charge]:
        """Every charge, in the order of the starts, each as it stands at this moment."""
        found = self._wire.ask("GET", "/charges?limit=1000000")
        return [read_charge(document, found["now"]) for document in found["charges"]]

    def now(self) -> float:
        """Return the sandbox time, unix seconds."""
        return self.clock()

    def revoke_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self._wire.ask("DELETE", "/tokens")

    def set_evse_status(self, evse_id: str, status: str | None) -> None:
        """Set the status of an EVSE while no charge runs on it.

        Args:
            evse_id: The id of the EVSE.
            status: `Available`, `Occupied`, `Unavailable` or `Unknown`; None brings back the one of the seed.

        Raises:
            KeyError: There is no such EVSE.
            ValueError: There is no such status.
        """
        self._wire.ask("PUT", f"/evses/{_part(evse_id)}/status", {"status": status})

    def evse_status(self, evse_id: str) -> str:
        """Return the status of an EVSE at this moment.

        Args:
            evse_id: The id of the EVSE.

        Raises:
            KeyError: There is no such EVSE.
        """
        return str(self._wire.ask("GET", f"/evses/{_part(evse_id)}")["status"])

    def fail_stops(self, evse_id: str, times: int = 1) -> None:
        """Let the next stops on an EVSE end as failed-to-stop.

        Args:
            evse_id: The id of the EVSE.
            times: How many stops fail; -1 for all of them, 0 for none.

        Raises:
            KeyError: There is no such EVSE.
        """
        self._wire.ask("PUT", f"/evses/{_part(evse_id)}/failing-stops", {"times": times})

    def end_charge(self, session_id: str) -> None:
        """Let a charge end by itself, as when the car is full or the driver pulls the plug.

        Args:
            session_id: The session id of the charge.

        Raises:
            KeyError: There is no such charge.
        """
        self._wire.ask("POST", f"/charges/{_part(session_id)}/end")

    def fail_charge(self, session_id: str, code: str = "InternalError") -> None:
        """Let a charge fail, see `Sandbox.fail_charge`.

        Args:
            session_id: The session id of the charge.
            code: The reason, one of `SESSION_MESSAGES`.

        Raises:
            KeyError: There is no such charge.
            ValueError: The charge is over, or the code is not documented.
        """
        self._wire.ask("POST", f"/charges/{_part(session_id)}/fail", {"code": code})

    def forget_charge(self, session_id: str) -> None:
        """Lose a charge: no look-up finds it from now on, and its EVSE is free.

        Args:
            session_id: The session id of the charge.

        Raises:
            KeyError: There is no such charge.
        """
        self._wire.ask("DELETE", f"/charges/{_part(session_id)}")

    def clear_requests(self) -> None:
        """Empty `requests`."""
        self._wire.ask("DELETE", "/requests")

    def reset(self) -> None:
        """Begin again from the seed, see `Sandbox.reset`."""
        self._wire.ask("POST", "/reset")

    @property
    def start_delay(self) -> float:
        """Sandbox seconds from an accepted start to the charge, or to its failure."""
        return float(self._setting("start_delay"))

    @start_delay.setter
    def start_delay(self, seconds: float) -> None:
        self._set("start_delay", seconds)

    @property
    def stop_delay(self) -> float:
        """Sandbox seconds from an accepted stop to its outcome."""
        return float(self._setting("stop_delay"))

    @stop_delay.setter
    def stop_delay(self, seconds: float) -> None:
        self._set("stop_delay", seconds)

    @property
    def show_sessions_after(self) -> float:
        """Sandbox seconds from an accepted start until retrieve and active know the session."""
        return float(self._setting("show_sessions_after"))

    @show_sessions_after.setter
    def show_sessions_after(self, seconds: float) -> None:
        self._set("show_sessions_after", seconds)

    @property
    def retrieve_state_key(self) -> str:
        """The key of the state in an answer of `retrieve` to SDK 1.0.0."""
        return str(self._setting("retrieve_state_key"))

    @retrieve_state_key.setter
    def retrieve_state_key(self, key: str) -> None:
        self._set("retrieve_state_key", key)

    @property
    def sdk_1_1(self) -> bool:
        """Whether `/locations/v1/ev` is answered as SDKs 1.1.0 and 1.2.0 expect."""
        return bool(self._setting("sdk_1_1"))

    @sdk_1_1.setter
    def sdk_1_1(self, value: bool) -> None:
        self._set("sdk_1_1", value)

    def _setting(self, name: str) -> Any:
        return self._wire.ask("GET", "/settings")[name]

    def _set(self, name: str, value: Any) -> None:
        self._wire.ask("PATCH", "/settings", {name: value})

    def __repr__(self) -> str:
        return f"RemoteSandbox({self._wire.url!r})"


class RemoteFaults:
    """The faults of a sandbox in another process, with the methods of `Faults`."""

    def __init__(self, wire: _Wire) -> None:
        """Speak over this wire."""
        self._wire = wire

    def add(self, operation: str, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Add a fault to the next calls of an operation.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
            fault: The fault.
            times: How many calls it hits.
            after: How many calls succeed first.
        """
        document = {"operation": operation, "fault": fault_document(fault), "times": times, "after": after}
        self._wire.ask("POST", "/faults", document)

    def always(self, operation: str, fault: Fault) -> None:
        """Add a fault to every call of an operation that no queued fault takes, until `clear`.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
            fault: The fault.
        """
        self._wire.ask("POST", "/faults", {"operation": operation, "fault": fault_document(fault), "always": True})

    def chaos(
        self,
        seed: int,
        probability: float,
        faults: Sequence[Fault] = (),
        operations: Iterable[str] = (ANY_OPERATION,),
    ) -> None:
        """Let calls fail at random, by a seeded generator.

        Args:
            seed: Seed of the random choices.
            probability: Share of the calls that fail, from 0 to 1.
            faults: The faults to choose from; empty for statuses and lost connections, before and after the effect.
            operations: The operations that may fail.
        """
        document = {
            "seed": seed,
            "probability": probability,
            "faults": [fault_document(fault) for fault in faults],
            "operations": list(operations),
        }
        self._wire.ask("POST", "/faults/chaos", document)

    def clear(self, operation: str | None = None) -> None:
        """Remove faults that wait.

        Args:
            operation: The operation; None for all of them, and for chaos.
        """
        self._wire.ask("DELETE", "/faults" if operation is None else f"/faults?operation={_part(operation)}")

    def waiting(self) -> tuple[WaitingFault, ...]:
        """List what is going to hit calls, queued faults first."""
        return tuple(read_waiting(document) for document in self._wire.ask("GET", "/faults")["waiting"])

    def pending(self, operation: str) -> int:
        """Count the calls that queued faults of this operation will hit.

        Args:
            operation: The operation, such as `charging.start`, `token`, or `*` for all but `token`.
        """
        return sum(waiting.times or 0 for waiting in self.waiting() if waiting.operation == operation)


class RemoteClock:
    """The clock of a sandbox in another process, with the methods of `SandboxClock`. Call it for the time."""

    def __init__(self, wire: _Wire) -> None:
        """Speak over this wire."""
        self._wire = wire

    def __call__(self) -> float:
        """Return the sandbox time, unix seconds."""
        return float(self._wire.ask("GET", "/clock")["now"])

    @property
    def speed(self) -> float | None:
        """Sandbox seconds per real second; None for a clock that was given to the sandbox."""
        speed: float | None = self._wire.ask("GET", "/clock")["speed"]
        return speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._wire.ask("PATCH", "/clock", {"speed": speed})

    @property
    def paused(self) -> bool:
        """Whether the time stands still."""
        return bool(self._wire.ask("GET", "/clock")["paused"])

    def pause(self) -> None:
        """Let the time stand still."""
        self._wire.ask("PATCH", "/clock", {"paused": True})

    def resume(self) -> None:
        """Let the time run again."""
        self._wire.ask("PATCH", "/clock", {"paused": False})

    def step(self, seconds: float) -> None:
        """Move the time forward, paused or not.

        Args:
            seconds: Seconds of the sandbox.
        """
        self._wire.ask("POST", "/clock/step", {"seconds": seconds})


class _Wire:
    """Asks the control API. Each call has a connection of its own, so any thread may ask."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the URL of a sandbox looks like http://127.0.0.1:8080, not {url!r}")
        self.url: str = f"{parts.scheme}://{parts.netloc}"
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._timeout = parts.hostname, parts.port, timeout
        self._cookie: str | None = None

    def about(self) -> dict[str, Any]:
        try:
            about: dict[str, Any] = self.ask("GET", "/")
            known = about["version"] == 1
        except (KeyError, TypeError):
            known, about = False, {}
        if not known:
            raise RuntimeError(f"{self.url} has no control API of this version")
        return about

    def exchange(self, token: str) -> None:
        _, cookie = self._send("POST", "/session", {"token": token})
        self._cookie = (cookie or "").partition(";")[0]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._send(method, path, body)[0]

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[Any, str | None]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._cookie:
            headers["Cookie"] = self._cookie
        connection = self._kind(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, _ROOT + path, None if body is None else json.dumps(body).encode(), headers)
            reply = connection.getresponse()
            text = reply.read()
        except http.client.HTTPException as error:
            raise RuntimeError(f"{self.url} is no sandbox: {error!r}") from error
        finally:
            connection.close()
        try:
            document: Any = json.loads(text) if text else None
        except ValueError:
            raise RuntimeError(f"{self.url} is no sandbox: it answered {reply.status} without JSON") from None
        if reply.status < 300:
            return document, reply.getheader("Set-Cookie")
        raise _ERRORS.get(reply.status, RuntimeError)(_message(document) or f"{self.url} answered {reply.status}")


def _message(document: Any) -> str | None:
    try:
        return str(document["error"]["message"])
    except (KeyError, TypeError):
        return None


def _part(text: str) -> str:
    return quote(text, safe="")
