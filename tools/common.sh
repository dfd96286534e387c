# SPDX-License-Identifier: MIT
#
# What tools/setup and tools/check share. Sourced by bash, at the project's root.

# What it takes to build, and to look at the files.
build_packages="gcc libc6-dev cmake ninja-build pkgconf libsqlite3-dev sqlite3 uthash-dev libxxhash-dev"
# What the tests need beyond that. zlib1g-dev: sqlite3.pc asks for it where a program is linked with -static; file: cpack,
# when it looks for what is to be in a package.
test_packages="g++ zlib1g-dev file libcmocka-dev libuv1-dev spin gcovr python3 doxygen mandoc zsh dpkg-dev e2fsprogs xfsprogs clang-14 libclang-rt-14-dev"

say() {
    printf '\n=== %s\n' "$*"
}

# install_missing PACKAGE...: installs what is not there from Debian's packages. When all is there it needs no rights and
# does not touch apt.
install_missing() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian: please see to it that these packages, or their like, are installed: $*"
        return
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    say "Installing ${missing[*]}"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Not root, and no sudo. As root: apt-get install ${missing[*]}" >&2
            return 1
        fi
        root=(sudo)
    fi
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# build PRESET: configures and builds; in CI a warning is an error.
build() {
    local werror=OFF
    if [ "${CI:-}" = true ]; then
        werror=ON
    fi
    say "Building: $1"
    cmake --preset "$1" -D CTRACK_WERROR=$werror
    cmake --build --preset "$1"
}
