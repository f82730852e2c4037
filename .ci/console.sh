#!/usr/bin/env bash
# The console in a browser, and the official SDKs against the sandbox.
# Usage: .ci/console.sh TOOLS SCRATCH: the bin folder of an environment with the extra `dev`, and a folder for the others.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$1
scratch=$2

if ! command -v chromium > /dev/null; then
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends chromium fonts-dejavu-core > /dev/null
fi
CONSOLE_CHROMIUM=$(command -v chromium)

CONSOLE_SDKS=$scratch/sdks
for version in 1.0.0 1.3.0 2.2.0; do
    python3 -m venv "$CONSOLE_SDKS/$version"
    "$CONSOLE_SDKS/$version/bin/pip" install --quiet "ev-recharge-sdk==$version"
done
export CONSOLE_CHROMIUM CONSOLE_SDKS

# A test that is left out here would pass unseen.
log=$scratch/console.log
"$tools/python" -m pytest -q -rs -m servers tests/console | tee "$log"
! grep --quiet ' skipped' "$log"
