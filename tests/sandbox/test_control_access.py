"""Who may use the console and the control API, and what the others are answered."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import aiohttp
import pytest

from shell_ev.sandbox import Sandbox
from shell_ev.sandbox.access import Access, Caller, Refused
from shell_ev.sandbox.console_files import console_files

API = "/_sandbox/v1/clock"


def caller(peer: str | None = "127.0.0.1", host: str | None = "127.0.0.1:8080", **headers: str) -> Caller:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    if host is not None:
        named["host"] = host
    return Caller(peer, lambda name: named.get(name.lower()))


def refused(access: Access, asking: Caller) -> str | None:
    """The code of the refusal, None for a caller who is let in."""
    try:
        access.check_host(asking)
        access.check_origin(asking)
        access.check_token(asking)
    except Refused as refusal:
        return refusal.code
    return None


class TestThisMachineOnly:
    @pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.7:1"])
    def test_this_machine_is_let_in_without_a_token(self, peer: str, host: str) -> None:
        assert refused(Access(), caller(peer, host)) is None

    @pytest.mark.parametrize(
        "peer", ["192.168.1.5", "10.0.0.1", "8.8.8.8", "fe80::1%eth0", "::ffff:10.0.0.1", None, ""]
    )
    def test_other_machines_are_refused(self, peer: str | None) -> None:
        assert refused(Access(), caller(peer)) == "loopback-only"

    @pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
    def test_a_proxy_on_this_machine_is_no_way_in(self, header: str) -> None:
        assert refused(Access(), caller(**{header: "203.0.113.7"})) == "loopback-only"

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@127.0.0.1.x",
            "192.168.1.5:8080",
            "0.0.0.0:8080",
            "2130706433",
            "[::1",
            "",
            None,
        ],
    )
    def test_a_name_that_a_hostile_dns_server_may_have_pointed_here_is_refused(self, host: str | None) -> None:
        assert refused(Access(), caller(host=host)) == "host-refused"


class TestOrigins:
    @pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "HTTP://127.0.0.1:8080"])
    def test_the_console_itself_is_let_in(self, origin: str) -> None:
        assert refused(Access(), caller(Origin=origin, Sec_Fetch_Site="same-origin")) is None

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "http://127.0.0.1:9999",
            "http://127.0.0.1",
            "http://localhost:8080",
            "null",
            "",
            "http://127.0.0.1:8080.evil.example",
            "http://evil.example/127.0.0.1:8080",
        ],
    )
    def test_every_other_origin_is_refused(self, origin: str) -> None:
        assert refused(Access(), caller(Origin=origin)) == "origin-refused"

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
    def test_what_a_page_of_another_site_makes_a_browser_send_is_refused(self, site: str) -> None:
        assert refused(Access(), caller(Sec_Fetch_Site=site)) == "origin-refused"


class TestOtherMachines:
    def test_they_need_the_token_once_and_then_the_cookie(self) -> None:
        access = Access("sandbox.example")
        asking = caller("10.0.0.9", "sandbox.example:8080")
        assert refused(access, asking) == "token-needed"
        for wrong in ("", "x", access.token[:-1], access.token + "x", None, 5):
            with pytest.raises(Refused, match="The token is wrong"):
                access.exchange(wrong)
        session = access.exchange(access.token)
        assert session != access.token
        assert refused(access, Caller(asking.peer, asking.header, session)) is None
        assert refused(access, Caller(asking.peer, asking.header, session[:-1])) == "token-needed"
        assert refused(access, Caller(asking.peer, asking.header, "ü")) == "token-needed"

    def test_this_machine_needs_no_token_still(self) -> None:
        assert refused(Access("sandbox.example"), caller()) is None

    @pytest.mark.parametrize("host", ["other.example", "10.0.0.5:8080"])
    def test_they_are_let_in_by_the_name_alone_that_was_given(self, host: str) -> None:
        assert refused(Access("sandbox.example"), caller("10.0.0.9", host)) == "host-refused"

    @pytest.mark.parametrize("unspecified", ["0.0.0.0", "::", "[::]"])
    def test_an_unspecified_address_stands_for_every_address_and_for_no_name(self, unspecified: str) -> None:
        access = Access(unspecified)
        assert refused(access, caller("10.0.0.9", "10.0.0.5:8080")) == "token-needed"
        assert refused(access, caller("10.0.0.9", "[fd00::5]:8080")) == "token-needed"
        assert refused(access, caller("10.0.0.9", "evil.example:8080")) == "host-refused"

    def test_a_caller_from_outside_with_the_name_of_this_machine_needs_the_token(self) -> None:
        assert refused(Access("sandbox.example"), caller("10.0.0.9", "localhost")) == "token-needed"


async def ask(sandbox: Sandbox, method: str = "GET", path: str = API, **options: Any) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as http, http.request(method, sandbox.console_url + path, **options) as reply:
        return reply.status, await reply.text(), reply.headers


async def test_the_refusals_are_json_that_says_what_to_do(sandbox: Sandbox) -> None:
    status, text, headers = await ask(sandbox, headers={"Host": "evil.example"})
    assert status == 403
    assert headers["Content-Type"].startswith("application/json")
    error = json.loads(text)["error"]
    assert error["code"] == "host-refused"
    assert "'evil.example'" in error["message"]
    assert "--console-host" in error["message"]


async def test_the_page_is_refused_under_a_strange_name_too(sandbox: Sandbox) -> None:
    for path in ("/", "/_sandbox/console/app.js", "/_sandbox/v1/events"):
        assert (await ask(sandbox, path=path, headers={"Host": "evil.example"}))[0] == 403


async def test_a_form_of_another_site_changes_nothing(sandbox: Sandbox) -> None:
    kinds = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""]
    for kind in kinds:
        headers = {"Content-Type": kind} if kind else {}
        status, text, _ = await ask(
            sandbox, "PATCH", "/_sandbox/v1/settings", data=b'{"start_delay": 1}', headers=headers
        )
        assert (status, json.loads(text)["error"]["code"]) == (415, "json-only")
    status, text, _ = await ask(sandbox, "POST", "/_sandbox/v1/reset", headers={"Origin": "http://evil.example"})
    assert (status, json.loads(text)["error"]["code"]) == (403, "origin-refused")
    assert sandbox.start_delay == 20


async def test_no_answer_invites_another_origin_or_runs_a_strange_script(sandbox: Sandbox) -> None:
    for path in ("/", API, "/_sandbox/nothing"):
        _, _, headers = await ask(sandbox, path=path)
        assert "Access-Control-Allow-Origin" not in headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_preflight_is_refused(sandbox: Sandbox) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    assert (await ask(sandbox, "OPTIONS", "/_sandbox/v1/tokens", headers=headers))[0] == 403


async def test_from_another_address_the_token_is_exchanged_for_a_cookie() -> None:
    address = own_address()
    async with Sandbox(host="0.0.0.0", stations=0, console_host="0.0.0.0") as sandbox:
        base = f"http://{address}:{sandbox.url.rpartition(':')[2]}"
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.get(base + "/") as page:
                assert page.status == 200  # the page asks for the token
            async with http.get(base + API) as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (401, "token-needed")
            async with http.get(base + API, params={"token": sandbox.console_token or ""}) as reply:
                assert reply.status == 401  # never in a URL
            async with http.post(base + "/_sandbox/v1/session", json={"token": sandbox.console_token}) as reply:
                assert reply.status == 204
                cookie = reply.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert "Path=/_sandbox/" in cookie
            assert sandbox.console_token not in cookie
            async with http.get(base + API) as reply:
                assert reply.status == 200


async def test_from_another_address_nothing_answers_unless_it_was_allowed() -> None:
    address = own_address()
    async with Sandbox(host="0.0.0.0", stations=0) as sandbox, aiohttp.ClientSession() as http:
        assert sandbox.console_token is None
        base = f"http://{address}:{sandbox.url.rpartition(':')[2]}"
        for path in ("/", API):
            async with http.get(base + path) as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (403, "loopback-only")
        async with http.get(base + "/ev/v2/locations") as reply:
            assert reply.status == 401  # the service itself answers, and wants its own token


async def test_with_a_port_of_its_own_the_console_is_there_and_nowhere_else() -> None:
    async with Sandbox(stations=0, console_port=0) as sandbox, aiohttp.ClientSession() as http:
        assert sandbox.console_url != sandbox.url
        for base, path, status in (
            (sandbox.console_url, "/", 200),
            (sandbox.console_url, API, 200),
            (sandbox.url, "/", 404),
            (sandbox.url, API, 404),
            (sandbox.console_url, "/ev/v2/locations", 404),
        ):
            async with http.get(base + path) as reply:
                assert (path, reply.status) == (path, status)
        before = sandbox.console_url
        await sandbox.restart()
        assert sandbox.console_url == before


async def test_a_taken_console_port_leaves_nothing_listening() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sandbox = Sandbox(stations=0, console_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"):
            await sandbox.start()
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(sandbox.url)


def own_address() -> str:
    """An address of this machine that is no loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # no packet is sent
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


def test_the_console_is_small_and_has_no_foreign_url() -> None:
    files = console_files()
    assert sum(len(file.body) for file in files.values()) <= 60_000
    for path, file in files.items():
        text = file.body.decode()
        urls = set(re.findall(r"https?://[^\"'\s]+", text)) - {"http://www.w3.org/2000/svg"}
        assert urls == set(), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\son\w+=", text), path
    page = files["/"].body.decode()
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert " style=" not in page
