#!/bin/sh
# Make .venv from requirements-dev.lock, exactly; do nothing when it is already what the lock asks for.
# Needs only a Python 3.11 or newer: $PYTHON, else the first that is found. Debian keeps `ensurepip` in a package of
# its own: where it is missing, it is taken from there.
set -eu
cd "$(dirname "$0")/.."
say() { echo "$*" >&2; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The stamp is written last: a .venv that was interrupted half-way, that belongs to another lock, or that was moved
# (its scripts and the link to this checkout are absolute) has none that fits, and is made anew.
STAMP=.venv/.made-from
WANTED=$({ cat requirements-dev.lock scripts/venv.sh && sed "/^\[tool/,\$d" pyproject.toml && pwd; } | sha256sum)
fits() {
    [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>/dev/null)" = "$(.venv/bin/python -V)" ]; }
}
fits && exit 0
# Two makes at once: the second waits, and then finds it made.
if command -v flock >/dev/null; then
    exec 9<scripts/venv.sh
    flock 9
    fits && exit 0
fi

if [ -n "${PYTHON:-}" ]; then
    recent "$PYTHON" || { say "gcal-salesloft needs Python 3.11 or newer; PYTHON='$PYTHON' is none."; exit 1; }
else
    for PYTHON in python3 python3.13 python3.12 python3.11 none; do recent "$PYTHON" && break; done
    if [ "$PYTHON" = none ]; then
        say "gcal-salesloft needs Python 3.11 or newer, and found none. Install it (Debian 12: apt-get install python3)," \
            "or name it: make PYTHON=/path/to/python3.11 ..."
        exit 1
    fi
fi

if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    PACKAGE=$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
    say "Python's venv module is missing; installing $PACKAGE ..."
    if ! { command -v apt-get >/dev/null && as_root apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$PACKAGE" >/dev/null; }; then
        say "Could not install it. Install the package $PACKAGE (Debian, Ubuntu: apt-get install $PACKAGE), then run this again."
        exit 1
    fi
fi

say "Preparing .venv with $("$PYTHON" -V) (once; about a minute) ..."
rm -rf .venv
"$PYTHON" -m venv .venv
# -qq: what pip warns of (links, caches, a newer pip) is no concern here; errors are shown.
.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.lock
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s\n' "$WANTED" >"$STAMP"
