"""What an answer of the token endpoint means: wrong secret, wrong environment, wrong host, or a service that is down.

Works on the library's own errors; sends nothing.
"""

from __future__ import annotations

from ..client import AsyncShellEV
from ..core.auth import ClientCredentials
from ..errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ShellEVError,
    TransportError,
)
from ..options import Environment
from .answers import PORTAL, failure, foreign, marks, no_answer
from .plan import Trouble, Verdict, ok
from .settings import Settings

#: The operation that the library's errors name when it was a token that was being fetched.
_FETCHING = "token"
NIL_SESSION = "00000000-0000-0000-0000-000000000000"


async def check_token(ev: AsyncShellEV, settings: Settings, seconds: float) -> Verdict:
    """Whether a token is granted: by a look at a session that nobody has, as every call fetches its token first."""
    try:
        # Longer than the token's own time: then a token endpoint that says nothing is not taken for a silent API.
        await ev.charging.retrieve(NIL_SESSION, timeout=2 * seconds + 1)
    except AuthenticationError as error:
        raise refused(error, settings) from None
    except ConfigurationError as error:
        raise Trouble(str(error), "Correct the options of the client.") from None
    except (ApiError, TransportError) as error:
        if error.operation == _FETCHING:
            raise _unavailable(error, seconds) from None
    except ShellEVError:
        pass  # the token was granted; what its call came to is looked at by itself
    if not isinstance(settings.source, ClientCredentials):
        return ok(f"{type(settings.source).__name__} gives one")
    return ok("granted for these credentials")


def _unavailable(error: ApiError | TransportError, seconds: float) -> Trouble:
    if isinstance(error, TransportError):
        return no_answer("the token endpoint", error, seconds)
    return failure("the token endpoint", error)


def refused(error: AuthenticationError, settings: Settings) -> Trouble:
    """What a refusal of the token endpoint means."""
    status = error.status_code
    if status is None:
        return Trouble(str(error), "Look at the token source that was given to the client.")
    came_from = foreign(status, error.headers)
    if came_from is not None and error.error is None:
        return Trouble(f"the token endpoint answers {came_from}", PORTAL)
    said = " - ".join(part for part in (error.error, error.error_description) if part)
    words = f"{status}{f': {said}' if said else ''}{marks(error.headers)}"
    if 200 <= status <= 299 or status in (404, 405):
        return Trouble(
            f"no token endpoint there: it answers {words}",
            f"Check {settings.where('base_url')}, {settings.where('token_url')} and {settings.where('api_version')}.",
        )
    if error.error == "invalid_scope":
        return Trouble(f"the scope is refused ({words})", "Correct scope=, or leave it out.")
    if error.error in ("unauthorized_client", "unsupported_grant_type") or (status == 403 and error.error is None):
        return Trouble(
            f"these credentials are known, but may not fetch a token ({words})",
            "Ask Shell whether your product is approved for this API, and whether this address may use it.",
        )
    which = _which(error.error_description)
    return Trouble(f"{which} is wrong: the token endpoint refuses it with {words}", _advice(settings))


def _which(description: str | None) -> str:
    """Which of the two is wrong, where the endpoint tells them apart; most do not, on purpose."""
    text = (description or "").lower().replace(" ", "").replace("_", "")
    if "secret" in text and "client" not in text.replace("clientsecret", ""):
        return "the client secret"
    if "clientid" in text and "secret" not in text:
        return "the client id"
    return "the client id or the client secret"


def _advice(settings: Settings) -> str:
    source, config = settings.source, settings.config
    if not isinstance(source, ClientCredentials) or config is None:
        return "Check the credentials of the token source."
    parts = [f"Check {settings.told('client_id')} and {settings.told('client_secret')} for a slip in copying."]
    parts += _slips(source)
    if config.base_url is None and config.token_url is None:
        this = config.environment
        other = Environment.TEST if this is Environment.PRODUCTION else Environment.PRODUCTION
        parts.append(
            f"Credentials of one environment are not known in the other: this is {this.value}; if they are for "
            f"{other.value}, set {settings.where('environment')}={other.value}."
        )
    else:
        parts.append(f"Are they credentials for {config.oauth_url}? Each environment has its own.")
    return " ".join(parts)


def _slips(source: ClientCredentials) -> list[str]:
    """What looks wrong about the credentials themselves, without a character of them."""
    slips: list[str] = []
    for name, value in (("id", source.client_id), ("secret", source.client_secret)):
        if len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]:
            slips.append(f"The {name} begins and ends with a quotation mark.")
        elif not value.isascii() or not value.isprintable() or " " in value:
            slips.append(f"The {name} holds a space or an unusual character.")
    if source.client_id == source.client_secret:
        slips.append("The id and the secret are the same.")
    return slips
