"""The token endpoint: credentials, grant type, documented errors, life of a token."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shell_ev.sandbox import SandboxReply, SandboxRequest, Service

FORM = "application/x-www-form-urlencoded"


def ask(
    service: Service,
    body: bytes = b"grant_type=client_credentials",
    authorization: str | None = None,
    content_type: str = FORM,
    method: str = "POST",
    path: str = "/v2/oauth/token",
) -> SandboxReply:
    headers = {"content-type": content_type}
    if authorization is not None:
        headers["authorization"] = authorization
    return service.handle(SandboxRequest(method, path, (), headers, body))


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


GOOD = basic("sandbox-client", "sandbox-secret")


@pytest.mark.parametrize("path", ["/v1/oauth/token", "/v2/oauth/token"])
def test_credentials_in_the_header_or_in_the_form(service: Service, path: str) -> None:
    in_form = b"grant_type=client_credentials&client_id=sandbox-client&client_secret=sandbox-secret"
    tokens = set()
    for reply in (ask(service, authorization=GOOD, path=path), ask(service, in_form, path=path)):
        document = json.loads(reply.body)
        assert reply.status == 200
        assert dict(reply.headers)["Cache-Control"] == "no-store"
        tokens.add(document.pop("access_token"))
        assert document == {"token_type": "Bearer", "expires_in": 3600}
    assert len(tokens) == 2
    assert service.tokens.issued == 2


def test_a_scope_is_granted_as_asked(service: Service) -> None:
    reply = ask(service, b"grant_type=client_credentials&scope=read+start", GOOD, FORM + "; charset=utf-8")
    assert json.loads(reply.body)["scope"] == "read start"


def test_credentials_are_utf_8_and_the_secret_may_hold_colons() -> None:
    service = Service(client_id="kunde", client_secret="gehé:im:%20", stations=0)
    assert ask(service, authorization=basic("kunde", "gehé:im:%20")).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"content_type": "application/json", "authorization": GOOD}, 400, "invalid_request"),
        ({"body": b"", "authorization": GOOD}, 400, "invalid_request"),
        ({"body": b"grant_type=", "authorization": GOOD}, 400, "invalid_request"),
        ({"body": b"grant_type=%ff", "authorization": GOOD}, 400, "invalid_request"),
        ({"body": b"grant_type=password", "authorization": GOOD}, 400, "unsupported_grant_type"),
        ({}, 401, "invalid_client"),
        ({"authorization": basic("sandbox-client", "wrong")}, 401, "invalid_client"),
        ({"authorization": basic("wrong", "sandbox-secret")}, 401, "invalid_client"),
        ({"authorization": "Basic !!!"}, 401, "invalid_client"),
        ({"authorization": "Basic " + base64.b64encode(b"no-colon").decode()}, 401, "invalid_client"),
        ({"authorization": "Bearer token"}, 401, "invalid_client"),
        ({"body": b"grant_type=client_credentials&client_id=sandbox-client"}, 401, "invalid_client"),
        ({"method": "GET"}, 405, "invalid_request"),
    ],
)
def test_refusals(service: Service, changes: dict[str, Any], status: int, error: str) -> None:
    reply = ask(service, **changes)
    document = json.loads(reply.body)
    assert reply.status == status
    assert set(document) == {"error", "error_description"}
    assert document["error"] == error
    assert service.tokens.issued == 0


def test_many_tokens_do_not_pile_up(service: Service, clock: Any) -> None:
    first = json.loads(ask(service, authorization=GOOD).body)["access_token"]
    clock.advance(3000)
    for _ in range(1500):
        ask(service, authorization=GOOD)
    clock.advance(601)
    last = json.loads(ask(service, authorization=GOOD).body)["access_token"]
    assert not service.tokens.alive(first)
    assert service.tokens.alive(last)
    assert service.tokens.issued == 1502
