# Runs as root in the booted machine; prints one fact a line: NAME VALUE. test_booted.py says what each should be.
set -u
unit=gcal-salesloft.service
etc=/etc/gcal-salesloft
old=$(ls /packages/gcal-salesloft_*.deb | sort | head -n 1)
new=$(ls /packages/gcal-salesloft_*.deb | sort | tail -n 1)

fact() { printf '%s %s\n' "$1" "$2"; }
property() { systemctl show --property "$2" --value "$1"; }
until_true() { timeout 30 bash -c "until $1; do sleep 0.05; done" || fact "TIMED-OUT" "$1"; }
export -f property
# This machine may be an image whose policy forbids packages to touch services.
rm -f /var/lib/man-db/auto-update /usr/sbin/policy-rc.d

dpkg -i "$old" >/tmp/install.out 2>&1
fact install.status $?
fact install.active "$(property $unit ActiveState)"
fact install.enabled "$(systemctl is-enabled $unit)"
dpkg -i "$new" >/tmp/idle.out 2>&1
fact idle.upgrade.status $?
fact idle.upgrade.active "$(property $unit ActiveState)"
dpkg -i --force-downgrade "$old" >/dev/null 2>&1

simulate() {
    /usr/lib/gcal-salesloft/bin/python3 -m connector.simulator.processes "$1" --port "$2" --world /world.json \
        --credentials-dir /tmp/credentials >"/tmp/$1.out" 2>&1 &
    until_true "grep -q READY /tmp/$1.out"
}
simulate google 9411
simulate salesloft 9412
cp -r /configuration/. $etc/
install -m 0600 /tmp/credentials/google.json /tmp/credentials/salesloft.key $etc/

systemctl enable --now $unit 2>/dev/null
fact start.status $?
until_true "property $unit StatusText | grep -q '[1-9] polls'"
fact start.program "$(readlink /proc/"$(property $unit MainPID)"/exe)"
fact start.verified "$(dpkg --verify gcal-salesloft | wc -l)"

before=$(property $unit MainPID)
dpkg -i "$new" >/tmp/upgrade.out 2>&1
fact upgrade.status $?
fact upgrade.active "$(property $unit ActiveState)"
fact upgrade.restarted "$([ "$(property $unit MainPID)" != "$before" ] && echo yes)"
fact upgrade.enabled "$(systemctl is-enabled $unit)"
fact upgrade.crashes "$(property $unit NRestarts)"

# A configuration that the new version would refuse must not leave the package half installed.
echo 'poll_intervall = "1s"' >>$etc/connector.toml
dpkg -i "$new" >/tmp/refused.out 2>&1
fact refused.status $?
fact refused.said "$(grep -c 'did not come up' /tmp/refused.out)"
fact refused.state "$(dpkg-query -W -f '${db:Status-Status}' gcal-salesloft)"
cp /configuration/connector.toml $etc/
systemctl reset-failed
systemctl start $unit
fact mended.status $?

dpkg -r gcal-salesloft >/tmp/remove.out 2>&1
fact remove.status $?
fact remove.active "$(property $unit ActiveState)"
fact remove.state "$(ls /var/lib/private/gcal-salesloft/state.db)"
fact remove.stop "$(journalctl --quiet --unit $unit --output cat | grep -c '^.*stopped')"
dpkg -i "$new" >/dev/null 2>&1
dpkg --purge gcal-salesloft >/tmp/purge.out 2>&1 </dev/null
fact purge.status $?
fact purge.left "$(ls -d /etc/gcal-salesloft /var/lib/gcal-salesloft* /var/lib/private/gcal-salesloft* /etc/systemd/system/*/gcal* \
    2>/dev/null | tr '\n' ' ')"
fact tracebacks "$(journalctl --quiet --output cat | grep -c Traceback)"
for out in /tmp/*.out; do sed "s|^|log $out: |" "$out"; done
journalctl --quiet --unit $unit --output cat --no-pager | sed 's/^/log /'
