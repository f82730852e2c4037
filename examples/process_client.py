"""One blocking client per process, made on its first use and hence after every fork.

Knows when to make a client; knows nothing of who asks for it. Flask, Django and Celery workers all need just this.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from shell_ev import ShellEV


class ProcessClient:
    """Gives each process its own client. A client does not survive a fork; this does.

    Args:
        make: Makes a client.
        recover: Seconds between two recoveries of what killed processes left in the client's store; None for none.
    """

    def __init__(self, make: Callable[[], ShellEV], recover: float | None = None) -> None:
        self._make = make
        self._recover = recover
        self._forget()
        if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # The lock too: in the parent another thread may have held it during the fork.
        self._making = threading.Lock()
        self._client: ShellEV | None = None

    def get(self) -> ShellEV:
        """This process's client, for all its threads. Raises ConfigurationError when the settings are wrong."""
        with self._making:
            if self._client is None:
                self._client = self._make()
                if self._recover is not None:
                    self._client.recover(every=self._recover)
            return self._client

    def close(self) -> None:
        """Close this process's client, if it has one: in a worker's exit hook, or not at all."""
        with self._making:
            if self._client is not None:
                self._client.close()
                self._client = None
