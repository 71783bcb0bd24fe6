# Runs as root in a private root without a service manager; prints one fact a line: NAME VALUE. Installs, upgrades,
# removes, installs again and purges what lies in /packages; test_lifecycle.py says what each fact should be.
fact() { printf '%s %s\n' "$1" "$2"; }
there() { if [ -e "$1" ] || [ -L "$1" ]; then echo yes; else echo no; fi; }
state() { dpkg-query -W -f '${db:Status-Status} ${Version}' gcal-salesloft 2>/dev/null || echo absent; }
lib=/usr/lib/gcal-salesloft
# Indexing all manuals of this machine at each step would be most of the time.
rm -f /var/lib/man-db/auto-update
old=$(ls /packages/gcal-salesloft_*.deb | sort | head -n 1)
new=$(ls /packages/gcal-salesloft_*.deb | sort | tail -n 1)

dpkg -i "$old" >/tmp/install.out 2>&1
fact install.status $?
fact install.said "$(grep -c 'not started' /tmp/install.out)"
fact install.state "$(state)"
fact install.etc "$(stat -c '%a %U' /etc/gcal-salesloft)"
fact install.enabled "$(ls /etc/systemd/system/*.wants/gcal-salesloft* 2>/dev/null | wc -l)"
fact install.unit "$(there /lib/systemd/system/gcal-salesloft.service)"
fact install.compiled "$(find $lib -name '__init__.cpython-*.pyc' -path '*connector/cli*' | wc -l)"
fact install.verify "$(dpkg --verify gcal-salesloft 2>&1 | wc -l)"

fact program.version "$(gcal-salesloft --version 2>&1)"
cp -r /usr/share/doc/gcal-salesloft/examples/. /etc/gcal-salesloft/
$lib/bin/python3 - /etc/gcal-salesloft 2>/tmp/secrets.err <<'PYTHON'
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
gcal-salesloft check-config /etc/gcal-salesloft >/tmp/check.out 2>&1
fact program.check-config $?
# Variables of the caller's and modules in the working directory must not reach the program.
mkdir /tmp/evil && echo 'raise SystemExit("not ours")' >/tmp/evil/typer.py
fact program.isolated "$(cd /tmp/evil && PYTHONPATH=/tmp/evil gcal-salesloft --version 2>&1)"
fact program.man "$(man --warnings -l /usr/share/man/man1/gcal-salesloft.1.gz 2>&1 >/dev/null | wc -l)"

mkdir -p /var/lib/private/gcal-salesloft /var/lib/private/gcal-salesloft-pam
ln -s private/gcal-salesloft /var/lib/gcal-salesloft
echo kept >/var/lib/private/gcal-salesloft/state.db
before=$(cat /etc/gcal-salesloft/connector.toml | md5sum)
dpkg -i "$new" >/tmp/upgrade.out 2>&1
fact upgrade.status $?
fact upgrade.state "$(state)"
fact upgrade.configuration.kept "$([ "$before" = "$(cat /etc/gcal-salesloft/connector.toml | md5sum)" ] && echo yes)"
fact upgrade.database "$(cat /var/lib/gcal-salesloft/state.db)"
fact upgrade.program "$(gcal-salesloft --version 2>&1)"

dpkg -r gcal-salesloft >/tmp/remove.out 2>&1
fact remove.status $?
fact remove.lib "$(there $lib)"
fact remove.program "$(there /usr/bin/gcal-salesloft)"
fact remove.etc "$(there /etc/gcal-salesloft/connector.toml)"
fact remove.database "$(cat /var/lib/gcal-salesloft/state.db)"

dpkg -i "$new" >/dev/null 2>&1
fact again.status $?
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /lib/systemd/system/gcal-salesloft.service /etc/systemd/system/multi-user.target.wants/
dpkg --purge gcal-salesloft >/tmp/purge.out 2>&1 </dev/null
fact purge.status $?
fact purge.state "$(state)"
fact purge.left "$(find /etc /usr/bin /usr/lib /usr/share /lib/systemd /var/lib -xdev -maxdepth 4 -name '*gcal-salesloft*' |
    tr '\n' ' ')"
for out in /tmp/install.out /tmp/upgrade.out /tmp/remove.out /tmp/purge.out /tmp/secrets.err /tmp/check.out; do
    sed "s|^|log $out: |" $out
done
