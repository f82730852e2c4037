"""How long the doctor waits for what, and from where on something is worth a word. Numbers only."""

from __future__ import annotations

from datetime import timedelta

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """Seconds, unless it says otherwise. The client's own timeouts count where they are shorter."""

    total: float = 30.0
    """For everything together."""
    look_up: float = 5.0
    connect: float = 5.0
    handshake: float = 5.0
    hello: float = 4.0
    """For the head of the answer to a request without a token, a proxy's too."""
    answer: float = 8.0
    """For the whole answer of one call."""
    slow: float = 3.0
    """From here on an answer is called slow."""
    clock_odd: float = 30.0
    """From here on the clock is worth a word."""
    clock_wrong: float = 120.0
    """From here on the clock is wrong."""
    expiry: timedelta = timedelta(days=14)
    """A certificate that ends sooner is worth a word."""
