#!/bin/sh
# Pin every dependency, with hashes, for all supported Pythons. Needs uv (`pip install uv`).
set -eu
cd "$(dirname "$0")/.."
for group in "" "--group dev"; do
    # shellcheck disable=SC2086  # the group is two words or none
    uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
        --no-annotate --no-header --quiet "$@" $group pyproject.toml -o "requirements${group:+-dev}.lock"
done
