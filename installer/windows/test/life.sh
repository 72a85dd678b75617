#!/bin/bash
# The life of the agent on Windows, as far as Wine can show it, from a bare program to the removal of its package, against a
# control plane and an OpenLDAP on this machine. `cargo xtask test windows` runs it as root, in namespaces of its own: nothing
# of it is reachable, and what it starts ends with it.
#
# life.sh CONTROL_PLANE AGENT FIRST_MSI NEXT_MSI FOLDER: the programs, two packages with a lower and a higher version, and a
# folder. WINEPREFIX is prepared.
set -euo pipefail
umask 077 # Wine makes ACLs of modes.
postern=$1 agent=$2 first=$3 next=$4 folder=$5
export WINEDEBUG=-all HOME=$folder/home POSTERN__DATA_DIR=$folder/postern
mkdir -p "$HOME"
wine=/usr/lib/wine/wine64
drive=$WINEPREFIX/drive_c
data=$drive/ProgramData/Postern
state=$data/state
trap 'echo "failed in line $LINENO: $BASH_COMMAND" >&2; tail -n 30 "$folder"/*.log >&2' ERR

step() { echo "» $*"; }
fail() { echo "failed: $*" >&2; false; }
# Waits until a command succeeds, at most a minute.
until_true() {
    local left=600
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "in vain: $*"
        sleep 0.1
    done
}
# Runs a Windows program. Its output goes through a file: a service that it starts would hold a pipe open.
run() {
    local code=0
    timeout 120 "$wine" "$@" >"$folder/said" 2>&1 </dev/null || code=$?
    tr -d '\r' <"$folder/said"
    return $code
}
refused() { ! run "$@" >"$folder/refused.log" || fail "not refused: $*"; }
packaged() { run 'C:\Program Files\Postern\postern-agent.exe' "$@"; }
package() { run msiexec /qn "$@"; }
is_running() { run sc query PosternAgent | grep -q 'STATE.*4 '; }
is_installed() { run sc query PosternAgent >/dev/null; }
identity() { run 'C:\agent.exe' status | grep '^agent '; }

ip link set lo up

step "a directory with twenty people"
mkdir "$folder/ldap"
cat >"$folder/slapd.conf" <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile $folder/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=corp,dc=example"
rootdn "cn=admin,dc=corp,dc=example"
rootpw secret
directory $folder/ldap
END
{
    printf 'dn: dc=corp,dc=example\nobjectClass: domain\ndc: corp\n\n'
    printf 'dn: ou=people,dc=corp,dc=example\nobjectClass: organizationalUnit\nou: people\n\n'
    for number in $(seq 1 20); do
        printf 'dn: uid=user%s,ou=people,dc=corp,dc=example\nobjectClass: inetOrgPerson\nuid: user%s\ncn: User %s\nsn: %s\n\n' \
            "$number" "$number" "$number" "$number"
    done
} >"$folder/people.ldif"
slapadd -f "$folder/slapd.conf" -l "$folder/people.ldif"
slapd -f "$folder/slapd.conf" -h ldap://127.0.0.1:1389

step "the control plane"
mkdir "$folder/postern"
"$postern" serve --gateway-public-address 127.0.0.1:8443 >"$folder/postern.log" 2>&1 &
until_true bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" >&3; head -1 <&3 | grep -q " 200"'
POSTERN_TOKEN=$("$postern" organizations create "Example" | tail -1)
export POSTERN_TOKEN
new_token() { "$postern" enrollment-tokens create --directory corp | grep -o 'postern1\.[^ ]*'; }
import() {
    until_true bash -c "'$postern' agents list --json | grep -q '\"connected\": *true'"
    "$postern" jobs start import --directory corp --watch
    [ "$("$postern" users list --json --all | grep -c '"user_name"')" = 20 ] || fail "not the twenty people"
}

step "a Windows of its own"
# Wine stops its services with the last ordinary process.
mkfifo "$folder/anchor"
"$wine" cmd >"$folder/anchor.log" 2>&1 <"$folder/anchor" &
exec 9>"$folder/anchor"
cp "$agent" "$drive/agent.exe"
run 'C:\agent.exe' --version

step "the program alone makes itself a service"
refused 'C:\agent.exe' service start
refused 'C:\agent.exe' service status
run 'C:\agent.exe' service install
run 'C:\agent.exe' service install
is_installed
run sc qc PosternAgent | tee "$folder/config.log"
grep -q 'agent.exe.*service run' "$folder/config.log"
grep -qi 'NT SERVICE.PosternAgent' "$folder/config.log"
run reg query 'HKLM\System\CurrentControlSet\Services\EventLog\Application\Postern' | grep -q EventCreate.exe
[ -f "$data/agent.toml" ] || fail "no example of a configuration"
refused 'C:\agent.exe' service start
grep -q 'not enrolled' "$folder/refused.log"
# Without an identity the service ends, and does not fail.
run sc start PosternAgent || true
until_true bash -c "'$wine' sc query PosternAgent 2>/dev/null | grep -q 'STATE.*1 '"

step "the example of the configuration is good"
sed -E 's/^#([a-z[])/\1/' "$data/agent.toml" >"$drive/example.toml"
(run 'C:\agent.exe' check --config 'C:\example.toml' --state-dir 'C:\none' || true) | tee "$folder/check.log"
grep -q 'corp: configuration *valid' "$folder/check.log"

step "enrolled, with a sealed password"
cat >>"$data/agent.toml" <<'END'
[[directory]]
name = "corp"
urls = ["ldap://127.0.0.1:1389"]
allow_plaintext = true
bind_dn = "cn=admin,dc=corp,dc=example"
bind_password_file = 'C:\ProgramData\Postern\corp.secret'
[directory.users]
base_dns = ["ou=people,dc=corp,dc=example"]
unique_attribute = "uid"
attributes = ["uid", "cn", "sn"]
END
printf secret >"$data/corp.secret"
run 'C:\agent.exe' service protect 'C:\ProgramData\Postern\corp.secret'
! grep -q secret "$data/corp.secret" || fail "the password can be read"
new_token >"$drive/token"
run 'C:\agent.exe' enroll --token-file 'C:\token'
refused 'C:\agent.exe' enroll --token-file 'C:\token'
run 'C:\agent.exe' enroll --if-needed --token-file 'C:\token'
! grep -q 'PRIVATE KEY' "$state/identity.json" || fail "the key can be read"
run 'C:\agent.exe' check

step "started: it connects, imports, answers, reloads, stops"
run 'C:\agent.exe' service start
is_running
import
before=$(identity)
run 'C:\agent.exe' status
run 'C:\agent.exe' service status | grep -q 'is running'
refused 'C:\agent.exe' run
grep -q 'another agent runs' "$folder/refused.log"
refused 'C:\agent.exe' service run
run sc control PosternAgent 6 || true
# Pausing is refused by the service manager, and changes nothing.
run sc pause PosternAgent || true
is_running
started=$(date +%s)
run 'C:\agent.exe' service stop
[ $(($(date +%s) - started)) -lt 25 ] || fail "stopping took too long"
! is_running || fail "stopped, and yet it runs"
until_true bash -c "'$postern' agents list --json | grep -q '\"connected\": *false'"
run 'C:\agent.exe' service start
import
run 'C:\agent.exe' service uninstall
! is_installed || fail "it is still installed"
[ -f "$state/identity.json" ] && [ -f "$data/agent.toml" ]

step "the package: an agent that is enrolled goes on"
cp "$first" "$drive/first.msi"
cp "$next" "$drive/next.msi"
package /i 'C:\first.msi'
[ -f "$drive/Program Files/Postern/postern-agent.exe" ] || fail "the program is not there"
run sc qc PosternAgent | grep -q 'Program Files.Postern.postern-agent.exe.*service run'
run reg query 'HKLM\System\CurrentControlSet\Control\Session Manager\Environment' /v PATH | grep -q 'Program Files.Postern'
until_true is_running
import
[ "$(identity)" = "$before" ] || fail "it is another agent"

step "an upgrade: the same agent, the same configuration, the new program; no way back"
sums=$(sha256sum "$data/agent.toml" "$data/corp.secret")
package /i 'C:\next.msi'
until_true is_running
import
[ "$(identity)" = "$before" ] || fail "it is another agent"
[ "$(sha256sum "$data/agent.toml" "$data/corp.secret")" = "$sums" ] || fail "the configuration has changed"
versions() { run reg query 'HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall' /s | grep -c 'DisplayName.*Postern Agent'; }
[ "$(versions)" = 1 ] || fail "both versions are installed"
! package /i 'C:\first.msi' || fail "an older version was installed"
is_running
[ "$("$postern" agents list --json | grep -c '"connected"')" = 1 ] || fail "there is a second agent"

step "removed: it stops, and what it knows stays"
package /x 'C:\next.msi'
! is_installed || fail "the service is still there"
[ ! -e "$drive/Program Files/Postern/postern-agent.exe" ] || fail "the program is still there"
[ -f "$state/identity.json" ] && [ -f "$data/agent.toml" ]

step "installed again, it goes on; removed with its state, nothing is left"
package /i 'C:\next.msi'
until_true is_running
import
package /x 'C:\next.msi' DELETE_STATE=1
[ ! -e "$data" ] || fail "$data is still there"

step "unattended: the package enrolls the agent from a file"
mkdir -p "$data"
cat >"$data/agent.toml" <<'END'
[[directory]]
name = "corp"
urls = ["ldap://127.0.0.1:1389"]
allow_plaintext = true
bind_dn = "cn=admin,dc=corp,dc=example"
bind_password = "secret"
END
! package /i 'C:\next.msi' 'ENROLL_TOKEN_FILE=C:\no-such-file' || fail "installed without the token"
! is_installed || fail "a failed installation left the service"
new_token >"$drive/token"
package /i 'C:\next.msi' 'ENROLL_TOKEN_FILE=C:\token'
until_true is_running
import
packaged service status | grep -q 'is running'

step "all of it held"
