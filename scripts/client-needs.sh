#!/usr/bin/env bash
# What the client matrix needs beyond scripts/needs.sh: unmodified PostgreSQL clients of several languages, in pinned
# versions. For scripts/test to source, or to be run by itself.

client_needs_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$client_needs_root/scripts/needs.sh"

# The drivers of Python and of Node.js lie beside what cargo builds; nothing is put into the home folder.
client_needs_folder() {
    printf '%s/clients' "${CARGO_TARGET_DIR:-$client_needs_root/target}"
}

# `java File.java` compiles, so that a runtime alone is not enough.
has_java_compiler() {
    command -v java >/dev/null && command -v javac >/dev/null
}

has_python_venv() {
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null
}

install_client_packages() {
    local missing=()
    has_python_venv || missing+=(python3 python3-venv)
    has_java_compiler || missing+=(default-jdk-headless)
    [ -e /usr/share/java/postgresql.jar ] || missing+=(libpostgresql-jdbc-java)
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    command -v go >/dev/null || missing+=(golang-go)
    command -v pgbench >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pgbench' >/dev/null || missing+=(postgresql-contrib)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v certutil >/dev/null || missing+=(libnss3-tools)
    install_packages "${missing[@]}"
}

# What was asked for is kept beside what was installed: the two differ when a version is changed.
install_python_clients() {
    local wanted=$client_needs_root/crates/conformance/clients/requirements.txt folder
    folder=$(client_needs_folder)/venv
    cmp -s "$wanted" "$folder/installed.txt" && [ -x "$folder/bin/python" ] && return
    echo "Installing Python's clients"
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")" &&
        python3 -m venv "$folder" &&
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps -r "$wanted" &&
        cp "$wanted" "$folder/installed.txt"
}

install_node_clients() {
    local wanted=$client_needs_root/crates/conformance/clients/node folder
    folder=$(client_needs_folder)/node
    cmp -s "$wanted/package-lock.json" "$folder/installed.json" && return
    echo "Installing Node.js' clients"
    rm -rf "$folder"
    mkdir -p "$folder" &&
        cp "$wanted/package.json" "$wanted/package-lock.json" "$folder" &&
        (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts) &&
        cp "$wanted/package-lock.json" "$folder/installed.json"
}

# Installs what is missing, and touches nothing where nothing is.
install_client_needs() {
    install_client_packages && install_python_clients && install_node_clients
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    install_client_needs
fi
