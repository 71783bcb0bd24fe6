# Runs as root in the booted machine; prints one fact a line: NAME VALUE. test_booted_units.py says what each should be.
set -u
unit=gcal-salesloft.service
one=gcal-salesloft@pam.service
etc=/etc/gcal-salesloft

fact() { printf '%s %s\n' "$1" "$2"; }
property() { systemctl show --property "$2" --value "$1"; }
until_true() { timeout 20 bash -c "until $1; do sleep 0.05; done" || fact "TIMED-OUT" "$1"; }
logged() { journalctl --quiet --unit "$1" --output cat | grep -c "$2"; }
export -f property logged

simulate() {
    /opt/gcal-salesloft/bin/python -m connector.simulator.processes "$1" --port "$2" --world /opt/world.json \
        --credentials-dir /tmp/credentials >"/tmp/$1.out" 2>&1 &
    until_true "grep -q READY /tmp/$1.out"
}
simulate google 9411
simulate salesloft 9412
install -m 0600 /tmp/credentials/google.json /tmp/credentials/salesloft.key "$etc"

# By hand first, as root; the state that this leaves must be the service's afterwards.
export CREDENTIALS_DIRECTORY=$etc
/opt/gcal-salesloft/bin/gcal-salesloft run --config $etc --initial-sync >/tmp/initial.out 2>&1
fact by.hand.status $?
sed 's/^/log /' /tmp/initial.out

systemctl start $unit
fact start.status $?
fact start.active "$(property $unit ActiveState)"
until_true "property $unit StatusText | grep -q '[1-9] polls'"
fact status.text "$(property $unit StatusText)"
pid=$(property $unit MainPID)
fact process.user "$(ps -o user= -p "$pid")"
fact process.uid "$(stat -c %u "/proc/$pid")"
fact state.mode "$(stat -L -c %a /var/lib/gcal-salesloft)"
fact state.file.owner "$(stat -L -c %u /var/lib/gcal-salesloft/state.db)"
fact status.command "$(/opt/gcal-salesloft/bin/gcal-salesloft status --config $etc 2>&1)"
/opt/gcal-salesloft/bin/gcal-salesloft run --config $etc --once >/tmp/second.out 2>&1
fact second.run.status $?
fact secret.owner "$(stat -c '%u %a' $etc/google.json)"

fact core.limit "$(awk '/core file/ {print $5}' "/proc/$pid/limits")"

polls() { property $unit StatusText | sed -nE 's/.* ([0-9]+) polls.*/\1/p'; }
export -f polls
export unit
seen=$(polls)
systemctl reload $unit
fact reload.status $?
until_true "[ \$(polls) -gt $seen ]"
fact reload.active "$(property $unit ActiveState)"
fact reload.same.process "$([ "$(property $unit MainPID)" = "$pid" ] && echo yes)"
fact reload.restarts "$(property $unit NRestarts)"
fact reload.polls.on "$([ "$(polls)" -gt "$seen" ] && echo yes)"

full() { journalctl --quiet --unit $unit --output cat | grep -c "calendar_read.*full=True"; }
read_in_full=$(full)
systemctl restart $unit
fact restart.status $?
until_true "property $unit StatusText | grep -q '[1-9] polls'"
fact restart.active "$(property $unit ActiveState)"
fact restart.full.readings "$(($(full) - read_in_full))"
pid=$(property $unit MainPID)
kill -KILL "$pid"
until_true "[ \$(property $unit NRestarts) -ge 1 -a \$(property $unit ActiveState) = active ]"
fact killed.restarts "$(property $unit NRestarts)"

pid=$(property $unit MainPID)
kill -STOP "$pid"
until_true "[ \$(property $unit NRestarts) -ge 2 -a \$(property $unit ActiveState) = active ]"
fact watchdog.restarts "$(property $unit NRestarts)"

systemctl stop $unit
fact stop.status $?
fact stop.active "$(property $unit ActiveState)"
fact stop.result "$(property $unit Result)"
fact stop.exit "$(property $unit ExecMainStatus)"
/opt/gcal-salesloft/bin/gcal-salesloft run --config $etc --once >/tmp/again.out 2>&1
fact by.hand.again.status $?
sed 's/^/log /' /tmp/again.out
systemctl start $unit
fact again.status $?
systemctl stop $unit

systemctl start $one
fact one.status $?
until_true "[ \$(logged $one calendar_read) -ge 1 ]"
until_true "property $one StatusText | grep -q polls"
fact one.state "$(ls /var/lib/gcal-salesloft-pam/state.db)"
# The other one of both starts beside it, and after it.
systemctl start $unit
fact both.status $?
systemctl stop $unit $one
fact one.result "$(property $one Result)"

mv $etc/google.json $etc/elsewhere.json
systemctl reset-failed
systemctl start $unit 2>/dev/null
fact credential.missing.exit "$(property $unit ExecMainStatus)"
fact credential.missing.said "$(logged $unit 'credentials_credential')"
mv $etc/elsewhere.json $etc/google.json

echo 'poll_intervall = "1s"' >>$etc/connector.toml
systemctl reset-failed
systemctl start $unit 2>/dev/null
until_true "[ \$(property $unit ActiveState) = failed ]"
fact misconfigured.exit "$(property $unit ExecMainStatus)"
fact misconfigured.active "$(property $unit ActiveState)"
fact misconfigured.restarts "$(property $unit NRestarts)"
fact misconfigured.said "$(logged $unit 'poll_intervall')"
fact tracebacks "$(journalctl --quiet --output cat | grep -c Traceback)"
fact secrets.logged "$(journalctl --quiet --output cat | grep -cE 'PRIVATE KEY|simulated-key')"
journalctl --quiet --unit $unit --unit $one --output cat --no-pager | sed 's/^/log /'
