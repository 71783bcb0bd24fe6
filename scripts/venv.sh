#!/bin/sh
# Make .venv from requirements-dev.lock, exactly; do nothing when it is already what the lock asks for.
# Needs only python3 (3.11+). Debian leaves `venv` out of its python3 package: where it is missing, take it from Debian.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
STAMP=.venv/.made-from
WANTED=$(cat requirements-dev.lock pyproject.toml scripts/venv.sh | sha256sum)
if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ]; then
    exit 0
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "gcal-salesloft needs Python 3.11 or newer; '$PYTHON' is $("$PYTHON" --version 2>&1 || echo missing). Set PYTHON=/path/to/python3.11." >&2
    exit 1
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    SUDO=
    [ "$(id -u)" -eq 0 ] || SUDO=sudo
    echo "Python's venv module is missing; installing Debian's python3-venv ..." >&2
    if ! { command -v apt-get >/dev/null && $SUDO apt-get -qq update && $SUDO apt-get -qq install -y --no-install-recommends python3-venv >/dev/null; }; then
        echo "Could not install it. Install the package python3-venv (Debian: apt-get install python3-venv), then run this again." >&2
        exit 1
    fi
fi
echo "Preparing .venv (once) ..." >&2
rm -rf .venv
"$PYTHON" -m venv .venv
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.lock
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s\n' "$WANTED" >"$STAMP"
