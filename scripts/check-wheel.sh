#!/bin/sh
# Install the last commit the way users do (an export of it, a fresh virtual environment, `pip install .`), and try what
# a wheel easily lacks: the console script, the migrations, Google's discovery document, the demo.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
PYTHON=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))')
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT INT TERM

mkdir "$room/source"
git archive HEAD | tar -x -C "$room/source"
"$PYTHON" -m venv "$room/venv"
PATH="$room/venv/bin:$PATH"
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip install -qq --require-hashes --only-binary :all: -r "$room/source/requirements.lock"
pip install -qq "$room/source"
pip check
rm -rf "$room/source/connector" # from here on only what was installed can be found
cd "$room"

gcal-salesloft --version
gcal-salesloft --help >help-of-script
python -I -m connector --help >help-of-module
cmp help-of-script help-of-module
python -I - source/config <<'PYTHON'
# Secrets that only have the right form, made here.
import json
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

os.umask(0o077)
pem = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
account = {
    "type": "service_account",
    "client_email": "connector@project.example.com",
    "private_key": pem.decode(),
    "token_uri": "https://oauth2.googleapis.com/token",
}
Path(sys.argv[1], "google.json").write_text(json.dumps(account))
Path(sys.argv[1], "salesloft.key").write_text("only-the-form\n")
PYTHON
gcal-salesloft check-config source/config
# The daemon makes its state with the migrations, and asks Google by the discovery document.
gcal-salesloft demo
echo "the wheel is complete"
