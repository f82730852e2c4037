"""Finding out what keeps the library from working: environment, proxy, DNS, TCP, TLS, clock, token, every operation.

``await diagnose(...)`` looks; ``report`` turns what it found into text, Markdown or JSON. Starts and stops nothing.
"""

from __future__ import annotations

from .diagnosing import diagnose
from .findings import Diagnosis, Facts, Finding, Outcome, Setting
from .limits import Limits
from .report import as_markdown, as_text

__all__ = ["Diagnosis", "Facts", "Finding", "Limits", "Outcome", "Setting", "as_markdown", "as_text", "diagnose"]
