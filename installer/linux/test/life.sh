#!/bin/bash
# The life of both packages on a machine with systemd, from installation to purge, against a real OpenLDAP. It runs inside
# the container that `cargo xtask test packaging` boots, as root. /packages has folders `first` and `next`, the same
# packages with a lower and a higher version.
set -euo pipefail
trap 'echo "failed in line $LINENO: $BASH_COMMAND" >&2; journalctl --no-pager -u postern -u postern-agent | tail -40 >&2' ERR

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
is_active() { systemctl is-active --quiet "$1"; }
property() { systemctl show --property "$2" --value "$1"; }
as() { setpriv --reuid "$1" --regid "$1" --init-groups -- "${@:2}"; }

step "a directory with twenty people"
mkdir /tmp/ldap
cat >/tmp/slapd.conf <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile /tmp/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=corp,dc=example"
rootdn "cn=admin,dc=corp,dc=example"
rootpw secret
directory /tmp/ldap
END
{
    printf 'dn: dc=corp,dc=example\nobjectClass: domain\ndc: corp\n\n'
    printf 'dn: ou=people,dc=corp,dc=example\nobjectClass: organizationalUnit\nou: people\n\n'
    for number in $(seq 1 20); do
        printf 'dn: uid=user%s,ou=people,dc=corp,dc=example\nobjectClass: inetOrgPerson\nuid: user%s\ncn: User %s\nsn: %s\n\n' \
            "$number" "$number" "$number" "$number"
    done
} >/tmp/people.ldif
slapadd -f /tmp/slapd.conf -l /tmp/people.ldif
slapd -f /tmp/slapd.conf -h ldap://127.0.0.1:1389

step "installing: nothing runs, nothing is enabled, the units are well closed"
dpkg -i /packages/first/*.deb
for name in postern postern-agent; do
    ! is_active $name || fail "$name runs before anything is configured"
    ! systemctl is-enabled --quiet $name || fail "$name is enabled"
    systemd-analyze security --threshold=15 $name.service >/dev/null || fail "$name.service is more exposed than 1.5"
    systemd-analyze verify --man=no $name.service
    [ "$(stat -c '%U %a' /var/lib/$name)" = "$name 700" ] || fail "/var/lib/$name is not private"
    $name --version
    [ -s /usr/share/man/man1/$name.1.gz ]
done
# Not enrolled: it is skipped, and does not fail again and again.
systemctl start postern-agent
[ "$(property postern-agent ConditionResult)" = no ] || fail "the agent started without an identity"

step "the examples in the configuration are good"
for file in agent.toml postern.toml; do sed -E 's/^#([a-z[])/\1/' /etc/postern/$file >/tmp/$file; done
(postern-agent check --config /tmp/agent.toml --state-dir /tmp/none || true) | tee /tmp/checked
grep -q 'corp: configuration *valid' /tmp/checked
# It goes as far as the files that the example names.
(postern serve --config /tmp/postern.toml || true) 2>&1 | tee /tmp/served
grep -q '/etc/postern/database.secret' /tmp/served

step "the control plane"
echo 'gateway_public_address = "127.0.0.1:8443"' >>/etc/postern/postern.toml
systemctl enable --now postern
curl() { bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" >&3; head -1 <&3'; }
curl | grep -q ' 200' || fail "ready, says systemd, and it does not answer"
POSTERN_TOKEN=$(as postern postern organizations create "Example" | tail -1)
export POSTERN_TOKEN HOME=/root

step "the agent, with the password in a credential of systemd"
token=$(postern enrollment-tokens create --directory corp | grep -o 'postern1\.[^ ]*')
cat >>/etc/postern/agent.toml <<END
[[directory]]
name = "corp"
urls = ["ldap://127.0.0.1:1389"]
allow_plaintext = true
bind_dn = "cn=admin,dc=corp,dc=example"
bind_password_credential = "corp"
[directory.users]
base_dns = ["ou=people,dc=corp,dc=example"]
unique_attribute = "uid"
attributes = ["uid", "cn", "sn"]
END
printf secret | install -m 0600 /dev/stdin /etc/postern/corp.secret
mkdir -p /etc/systemd/system/postern-agent.service.d
printf '[Service]\nLoadCredential=corp:/etc/postern/corp.secret\n' >/etc/systemd/system/postern-agent.service.d/corp.conf
systemctl daemon-reload
as postern-agent postern-agent enroll --token "$token"
systemd-run --quiet --pipe --wait -p User=postern-agent -p LoadCredential=corp:/etc/postern/corp.secret postern-agent check
systemctl enable --now postern-agent
is_active postern-agent
[ "$(grep -c 'CapEff:\s0000000000000000' "/proc/$(property postern-agent MainPID)/status")" = 1 ] || fail "it has capabilities"
[ "$(property postern-agent LimitCORE)" = 0 ]

import() {
    until_true bash -c "postern agents list --json | grep -q '\"connected\": *true'"
    postern jobs start import --directory corp --watch
    [ "$(postern users list --json --all | grep -c '"user_name"')" = 20 ] || fail "not the twenty people"
}
import

step "the password in an encrypted credential"
systemd-creds encrypt --name=corp /etc/postern/corp.secret /etc/postern/corp.cred
mv /etc/postern/corp.secret /tmp/
printf '[Service]\nLoadCredentialEncrypted=corp:/etc/postern/corp.cred\n' >/etc/systemd/system/postern-agent.service.d/corp.conf
systemctl daemon-reload
systemctl restart postern-agent
import

step "the password in a file"
mv /tmp/corp.secret /etc/postern/
rm /etc/systemd/system/postern-agent.service.d/corp.conf /etc/postern/corp.cred
systemctl daemon-reload
systemctl restart postern-agent
chown postern-agent /etc/postern/corp.secret
sed -i 's#^bind_password_credential = .*#bind_password_file = "/etc/postern/corp.secret"#' /etc/postern/agent.toml
systemctl reload postern-agent
until_true bash -c "journalctl -u postern-agent | grep -q config.reloaded"
as postern-agent postern-agent check
import

step "a process that hangs is started again; the other one does not notice"
for name in postern-agent postern; do
    mkdir -p /run/systemd/system/$name.service.d
    printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\nRestartSec=0\n' >/run/systemd/system/$name.service.d/quick.conf
done
systemctl daemon-reload
systemctl restart postern postern-agent
for name in postern-agent postern; do
    process=$(property $name MainPID)
    [ "$(property $name NRestarts)" = 0 ] || fail "$name was restarted before it was stopped"
    kill -STOP "$process"
    until_true bash -c "[ \"\$(systemctl show --property NRestarts --value $name)\" = 1 ]"
    until_true is_active $name
    [ "$(property $name MainPID)" != "$process" ] || fail "$name is the same process"
    journalctl -u $name | grep -q "Watchdog timeout" || fail "the watchdog did not say so"
done
import
for name in postern-agent postern; do
    [ "$(property $name NRestarts)" = 1 ] || fail "$name was restarted although it works"
    rm -r /run/systemd/system/$name.service.d
done
systemctl daemon-reload
systemctl restart postern postern-agent

identity() { grep -o '"agent_id": *"[^"]*"' /var/lib/postern-agent/identity.json; }
before=$(identity)
one_agent() { [ "$(postern agents list --json | grep -c '"connected"')" = 1 ]; }

step "an upgrade: the same agent, the same users, and the configuration as it was"
processes="$(property postern MainPID) $(property postern-agent MainPID)"
sums=$(sha256sum /etc/postern/*)
dpkg -i /packages/next/*.deb
[ "$(identity)" = "$before" ]
[ "$(sha256sum /etc/postern/*)" = "$sums" ] || fail "the configuration has changed"
for name in postern postern-agent; do
    is_active $name
    case " $processes " in *" $(property $name MainPID) "*) fail "$name still is the old program" ;; esac
done
import
one_agent

step "a downgrade to the version before"
dpkg -i /packages/first/*.deb
is_active postern
is_active postern-agent
[ "$(identity)" = "$before" ]
import
one_agent

step "removed: it stops, and what it knows stays"
dpkg -r postern-agent postern
for name in postern postern-agent; do
    ! is_active $name || fail "$name runs on"
    [ ! -e /usr/bin/$name ]
    [ ! -L /etc/systemd/system/multi-user.target.wants/$name.service ] || fail "$name is still enabled"
done
[ "$(identity)" = "$before" ]
[ -e /etc/postern/agent.toml ]

step "installed again, it goes on"
dpkg -i /packages/next/*.deb
systemctl enable --now postern postern-agent
import
one_agent

step "purged: the agent's identity is gone, the database stays until somebody deletes it"
dpkg -P postern-agent postern
for gone in /var/lib/postern-agent /etc/postern/agent.toml /etc/postern/postern.toml; do
    [ ! -e $gone ] || fail "$gone is still there"
done
[ -e /var/lib/postern/postern.db ]
rm -r /etc/systemd/system/postern-agent.service.d /var/lib/postern
systemctl daemon-reload

hash -r
step "the tarball asks, installs, and removes"
mkdir /tmp/unpacked
for archive in /packages/next/*.tar.gz; do tar -xzf "$archive" -C /tmp/unpacked; done
for name in postern postern-agent; do
    install=$(echo /tmp/unpacked/$name-[0-9]*/install.sh)
    ! "$install" </dev/null || fail "it installed without asking"
    [ ! -e /usr/local/bin/$name ]
    "$install" --yes
    systemd-analyze security --threshold=15 $name.service >/dev/null
done
echo 'gateway_public_address = "127.0.0.1:8443"' >>/etc/postern/postern.toml
systemctl start postern
is_active postern
POSTERN_TOKEN=$(as postern /usr/local/bin/postern organizations create "Example" | tail -1)
token=$(postern enrollment-tokens create --directory corp | grep -o 'postern1\.[^ ]*')
as postern-agent /usr/local/bin/postern-agent enroll --token "$token"
systemctl start postern-agent
is_active postern-agent
for name in postern postern-agent; do
    bash /tmp/unpacked/$name-[0-9]*/install.sh --uninstall --yes
    ! is_active $name || fail "$name runs on"
    [ ! -e /usr/local/bin/$name ]
    [ -d /var/lib/$name ]
done
hash -r
step "the program alone makes itself a service"
rm -r /var/lib/postern-agent
userdel postern-agent
cp /tmp/unpacked/postern-agent-[0-9]*/bin/postern-agent /tmp/
! /tmp/postern-agent service install || fail "a service out of /tmp"
install -m 0755 /tmp/postern-agent /usr/local/bin/
postern-agent service install
! postern-agent service start || fail "started without an identity"
bash /tmp/unpacked/postern-[0-9]*/install.sh --yes
systemctl start postern
token=$(postern enrollment-tokens create --directory corp | grep -o 'postern1\.[^ ]*')
as postern-agent postern-agent enroll --token "$token"
postern-agent service start
postern-agent service status | grep -q 'active (running)'
postern-agent service stop
! postern-agent service status >/dev/null || fail "stopped, and yet it runs"
postern-agent service uninstall
[ ! -e /etc/systemd/system/postern-agent.service ]
! postern-agent service uninstall || fail "removed twice"

step "all of it held"
