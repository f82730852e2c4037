"""The documentation site: Markdown pages, and a reference out of the docstrings.

Knows Sphinx and where the library's names live; fetches nothing, so that it builds
without a network.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import aiohttp
import sphinx.util.inspect
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import inspect as sphinx_inspect

import shell_ev
from shell_ev import client, errors, observing, sync
from shell_ev import options as config
from shell_ev.core import auth

project = "shell_ev"
author = "The shell_ev founders"
release = version = shell_ev.__version__
html_title = f"shell_ev {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "pictures",
]
myst_enable_extensions = ["colon_fence", "deflist"]
# Copied is what a reader can run: no prompt, and nothing of what an example prints.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"
exclude_patterns = ["_ext"]
myst_heading_anchors = 3

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

# Docstrings are reStructuredText; a single backtick in one is code.
default_role = "code"
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False

if sys.version_info < (3, 12):
    # Before, Sphinx does not know the mark of a plain function that gives a coroutine.
    _known = sphinx_inspect.iscoroutinefunction
    sphinx_inspect.iscoroutinefunction = lambda obj: (
        _known(obj) or asyncio.iscoroutinefunction(obj)
    )

# What these modules import for type checkers alone: with it autodoc can evaluate their
# annotations, and link them.
for module in (client, config, sync):
    vars(module).update(_ssl=ssl, aiohttp=aiohttp)
vars(config).update(
    ClientCredentials=auth.ClientCredentials,
    TokenSource=auth.TokenSource,
    Observer=observing.Observer,
)
vars(errors).update(
    ChargeSession=shell_ev.ChargeSession, SessionErrorCode=shell_ev.SessionErrorCode
)

nitpicky = True
nitpick_ignore_regex = [
    # Other people's documentation: links to it would have to be fetched at each build.
    (
        r"py:.*",
        r"(aiohttp|attrs|collections|datetime|decimal|opentelemetry|os|ssl|types|uuid)\..*",
    ),
    # Names that only type checkers import.
    (r"py:class", r"Decimal|Json|datetime|timedelta"),
    # Keywords of errors, and the clock of leases.
    (r"py:class", r"shell_ev\.errors\.CallDetails"),
    (r"py:func", r"clock"),
    # Short names that only type checkers import, and a store's own record.
    (
        r"py:class",
        r"OnProblem|Store|UUID|shell_ev\.identifiers\.HasEvseId|shell_ev\.store\.journal\.Entry"
        r"|shell_ev\.sandbox\.journal\.Journal",
    ),
    # A method of the protocol, named without its class.
    (r"py:func", r"clock"),
    # A base class that users never see: its subclasses are documented.
    (r"py:class", r"CallError"),
    # The type variable of ApiResponse.
    (r"py:class", r"shell_ev\.models\.response\.T"),
]

#: Classes that users build. Of the others the way in is a documented method, and the
#: constructor is left out.
BUILT_BY_USERS = {
    "AccessToken",
    "AsyncShellEV",
    "ClientCredentials",
    "ControlledSandbox",
    "ControlledTime",
    "EmaId",
    "EvseId",
    "OpenTelemetry",
    "Polling",
    "Sandbox",
    "ShellEV",
    "StaticToken",
    "Timeout",
}
#: What an asynchronous method gives, and what its blocking twin gives instead.
TWINS = {
    "collections.abc.AsyncIterator": "collections.abc.Iterator",
    "shell_ev.charges.charge.AsyncCharge": "shell_ev.sync.Charge",
    "shell_ev.charges.block.AsyncChargeBlock": "shell_ev.sync.ChargeBlock",
}


def as_users_see_it(
    app: Any,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str] | None:
    """The signature to show where it is not the one autodoc finds."""
    if signature is None:
        return None
    if what == "class" and obj.__name__ not in BUILT_BY_USERS:
        return "", ""
    if what == "exception":
        return "", ""  # the library makes them; their fields are attributes
    # A blocking method carries its original's annotations: they name what that gives.
    if returns and hasattr(obj, "__wrapped__") and obj.__globals__ is vars(sync):
        return signature, re.sub(
            r"[\w.]+", lambda name: TWINS.get(name[0], name[0]), returns
        )
    return None


def with_sections(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Render the sections Args, Returns and Raises of a docstring.

    Not the extension napoleon itself: it takes "word: text" in the docstring of an
    attribute for a type.
    """
    if what in ("function", "method", "class", "exception"):
        config = Config(napoleon_use_rtype=False)
        lines[:] = str(GoogleDocstring(lines, config, app, what, name, obj)).split("\n")


_is_coroutine_function = sphinx.util.inspect.iscoroutinefunction


def is_coroutine_function(obj: Any) -> bool:
    """Whether calling it gives a coroutine, after a check of its options too."""
    marked = hasattr(obj, "_is_coroutine") or hasattr(obj, "_is_coroutine_mark")
    return _is_coroutine_function(obj) or marked


def setup(app: Any) -> None:
    """Hook into autodoc."""
    sphinx.util.inspect.iscoroutinefunction = is_coroutine_function
    app.connect("autodoc-process-docstring", with_sections)
    app.connect("autodoc-process-signature", as_users_see_it)
