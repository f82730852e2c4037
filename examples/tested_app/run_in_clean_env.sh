#!/usr/bin/env bash
# Runs the tests of this application as its developers would: the wheel of shell_ev installed into a new environment
# beside pytest, with each async plugin and each of its modes, and with none. Needs the network.
#
#   run_in_clean_env.sh [WHEEL]       without one it is built first
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wheel=${1:+$(realpath "$1")}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTEST_ADDOPTS PYTEST_PLUGINS "${!SHELL_EV_@}"
cd "$scratch"

environment() { # name, packages to install beside the wheel...
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet "$wheel" pytest "${@:2}"
}

# What the page on testing says to change: the mode in the settings, a mark at the end of the tests that await.
application() { # name, setting of pytest, mark
    mkdir "$1"
    cp -r "$here"/{charging_desk.py,kiosk.py,tests} "$1"
    printf '[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\npythonpath = .\n%s\n' \
        "$2" >"$1/pytest.ini"
    [ -z "$3" ] || printf '\npytestmark = pytest.mark.%s\n' "$3" >>"$1/tests/test_charging_desk.py"
}

tests() { # name, environment, how many have to pass, files...
    printf '\n== %s\n' "$1"
    (cd "$1" && "../$2/bin/python" -m pytest -q --color=no -p no:cacheprovider "${@:4}") 2>&1 | tee "$1.log"
    grep -Eq "^$3 passed in " "$1.log"
}

if [ -z "$wheel" ]; then
    python3 -m venv build
    build/bin/pip wheel --quiet --no-deps --wheel-dir dist "$here/../.."
    wheel=$(echo "$scratch"/dist/*.whl)
fi

environment asyncio pytest-asyncio pytest-xdist
environment anyio anyio
environment none

loops=$'asyncio_default_fixture_loop_scope = function\nasyncio_mode = '
application auto "${loops}auto" ""
application strict "${loops}strict" asyncio
application anyio_app "" anyio
printf '\n\n@pytest.fixture\ndef anyio_backend() -> str:\n    return "asyncio"\n' >>anyio_app/tests/conftest.py
application no_plugin "" ""

tests auto asyncio 21
tests strict asyncio 21
tests anyio_app anyio 21
tests no_plugin none 5 tests/test_kiosk.py
tests auto asyncio 21 -n 2

none/bin/python - <<'PY'
import shell_ev.testing

assert "site-packages" in shell_ev.testing.__file__, "this was not the installed wheel"
PY
printf '\n== all well\n'
