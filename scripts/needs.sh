# What the build and the tests need beyond a Rust toolchain, for scripts/test and scripts/demo to source.

# `cargo` where rustup puts it, for shells that never read its profile.
find_cargo() {
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null; then
        echo "There is no cargo: install Rust 1.95 or newer (https://rustup.rs)." >&2
        exit 1
    fi
}

has_package() {
    command -v dpkg-query >/dev/null && [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# PostgreSQL's own parser is bound by bindgen, which loads libclang and needs the headers that come with it.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || has_package libclang-dev ||
        { compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h'; } >/dev/null
}

has_postgres() {
    { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; } && command -v psql >/dev/null
}

# Installs what is missing, and touches nothing where nothing is.
install_needs() {
    local missing=()
    command -v cc >/dev/null || missing+=(build-essential)
    has_libclang || missing+=(libclang-dev)
    has_postgres || missing+=(postgresql)
    install_packages "${missing[@]}"
}

# A command as root, by sudo where it takes that.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs the Debian packages that are named, if any are.
install_packages() {
    local missing=()
    local name
    for name in "$@"; do
        [ -z "$name" ] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return

    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "Missing: ${missing[*]}. Install them as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null; then
        echo "Missing, by Debian's names: ${missing[*]}. Install what your system calls them." >&2
        exit 1
    fi
    echo "Installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
