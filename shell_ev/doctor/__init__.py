"""Diagnosis of a client's set-up: settings, proxy, DNS, TCP, TLS, clock, token, and every operation that reads.

``await diagnose(...)`` runs the checks; ``as_text`` and ``as_markdown`` render the result. Charges are neither started
nor stopped.
"""

from __future__ import annotations

from .diagnosing import diagnose
from .plan import Limits
from .report import Diagnosis, Facts, Finding, Outcome, Setting, as_markdown, as_text

__all__ = ["Diagnosis", "Facts", "Finding", "Limits", "Outcome", "Setting", "as_markdown", "as_text", "diagnose"]
