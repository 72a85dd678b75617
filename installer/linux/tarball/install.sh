#!/bin/sh
# Installs @NAME@ from this folder, as a service of systemd. It shows what it will do, and asks first.
# Usage: ./install.sh [--yes] [--uninstall]
set -eu

name=@NAME@
config=/etc/postern/@CONFIG@
state=/var/lib/$name
unit=/etc/systemd/system/$name.service
here=$(cd "$(dirname "$0")" && pwd)
yes=no
uninstall=no

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# The plan is what is run: each step is shown by the same function that does it.
step() {
    if [ "$plan" = yes ]; then
        echo "  $*"
    else
        "$@"
    fi
}

confirm() {
    [ "$yes" = no ] || return 0
    [ -t 0 ] || fail "no terminal to ask at: look at what it would do, and run it with --yes"
    printf 'Do this? [y/N] '
    read -r answer
    case $answer in
        y | Y | yes) ;;
        *) echo 'Nothing was changed.' && exit 1 ;;
    esac
}

install_unit() {
    sed "s#/usr/bin/$name#/usr/local/bin/$name#" "$here/$name.service" >"$unit"
    chmod 0644 "$unit"
}

make_user() {
    getent passwd "$name" >/dev/null ||
        useradd --system --user-group --home-dir "$state" --no-create-home --shell "$(command -v nologin || echo /bin/false)" "$name"
}

# What is there stays: it is yours.
install_config() {
    [ -e "$config" ] || install -m 0644 "$here/@CONFIG@" "$config"
}

install_documents() {
    install -d /usr/local/share/man/man1 /usr/local/share/bash-completion/completions /usr/local/share/zsh/site-functions \
        /usr/local/share/fish/vendor_completions.d
    install -m 0644 "$here"/man/*.1.gz /usr/local/share/man/man1/
    install -m 0644 "$here/completions/$name.bash" "/usr/local/share/bash-completion/completions/$name"
    install -m 0644 "$here/completions/_$name" /usr/local/share/zsh/site-functions/
    install -m 0644 "$here/completions/$name.fish" /usr/local/share/fish/vendor_completions.d/
}

remove_documents() {
    for page in "$here"/man/*.1.gz; do
        rm -f "/usr/local/share/man/man1/$(basename "$page")"
    done
    rm -f "/usr/local/share/bash-completion/completions/$name" "/usr/local/share/zsh/site-functions/_$name" \
        "/usr/local/share/fish/vendor_completions.d/$name.fish"
}

install_all() {
    # Beside the old one and then in its place, so that a running program can be replaced.
    step install -m 0755 "$here/bin/$name" "/usr/local/bin/$name.new"
    step mv -f "/usr/local/bin/$name.new" "/usr/local/bin/$name"
    step make_user
    step install -d -m 0755 /etc/postern
    step install_config
    step install -d -m 0700 -o "$name" -g "$name" "$state"
    step install_documents
    step install_unit
    step systemctl daemon-reload
    # An upgrade: a service that runs gets the new program.
    step systemctl try-restart "$name.service"
}

uninstall_all() {
    step systemctl disable --quiet --now "$name.service"
    step rm -f "$unit" "/usr/local/bin/$name"
    step remove_documents
    step systemctl daemon-reload
}

for argument in "$@"; do
    case $argument in
        --yes) yes=yes ;;
        --uninstall) uninstall=yes ;;
        *) fail "usage: ./install.sh [--yes] [--uninstall]" ;;
    esac
done

if [ "$uninstall" = yes ]; then
    run=uninstall_all
    echo "This removes the program and the service $name. $config and $state stay:"
else
    run=install_all
    echo "This installs $name as a service of systemd, and starts nothing:"
    echo "  program /usr/local/bin/$name, unit $unit, user $name, state $state,"
    echo "  configuration $config (kept if it is there), manual pages and completions below /usr/local/share"
    echo "The steps:"
fi
plan=yes
$run
[ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 $*"
[ -d /run/systemd/system ] || fail "systemd does not run here. Run bin/$name by your own service manager instead"
confirm
plan=no
$run
if [ "$uninstall" = no ]; then
    echo 'Installed. Next: @NEXT@'
fi
