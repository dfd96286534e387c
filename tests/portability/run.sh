#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tests/portability/run.sh [i386|s390x|musl|clang]...: builds the library as strictly as CI does and runs its unit and api
# tests on other machines: of 32 bits, big-endian (emulated, ten minutes on two cores), with another C library, by another
# compiler. Without an argument: all of them. What is missing is said, and is no failure; -i installs Debian's packages
# for it first.
#
# A foreign machine's libraries are unpacked into build/portability/<machine>/root, from packages that a private apt, with
# the sources of this system, fetches: nothing foreign is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/common.sh
source=$PWD

# fetch ARCHITECTURE DIRECTORY COMMAND...: apt-get in DIRECTORY, for that architecture, with source packages.
fetch() {
    local architecture=$1 directory=$2 file
    shift 2
    mkdir -p "$directory"/{lists,archives,sources,packages}/ "$directory"/{lists,archives}/partial
    touch "$directory/status"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
        if [ -e "$file" ]; then
            sed 's/^Types: deb$/Types: deb deb-src/; s/^deb \(.*\)/deb \1\ndeb-src \1/' "$file" \
                >"$directory/sources/${file##*/}"
        fi
    done
    (cd "$directory/packages" && apt-get -q -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
        -o Dir::State="$directory" -o Dir::State::lists="$directory/lists" -o Dir::State::status="$directory/status" \
        -o Dir::Cache="$directory" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$directory/sources" \
        -o APT::Sandbox::User=root "$@")
}

# missing PROGRAM PACKAGES: says so, once, and what would help.
missing() {
    if command -v "$1" >/dev/null; then
        return 1
    fi
    echo "SKIPPED: $machine is NOT tested: no $1 (apt-get install $2)" >&2
}

# Headers that are for every machine.
common_headers() {
    mkdir -p "$root/usr/include"
    cp /usr/include/uthash.h /usr/include/xxhash.h "$root/usr/include"
}

# foreign ARCHITECTURE TRIPLET: SQLite and cmocka of a Debian architecture.
foreign() {
    local architecture=$1 libraries=$2 package
    if [ ! -e "$root/complete" ]; then
        fetch "$architecture" "$directory/apt" update || true # of several sources, one may be out of order
        fetch "$architecture" "$directory/apt" download libsqlite3-0 libsqlite3-dev libcmocka0 libcmocka-dev
        for package in "$directory"/apt/packages/*.deb; do
            dpkg -x "$package" "$root"
        done
        common_headers
        touch "$root/complete"
    fi
    PORTABILITY_LIBRARIES=$libraries
    export PKG_CONFIG_LIBDIR=$root/usr/lib/$libraries/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
}

# Nobody packages SQLite and cmocka for musl: they are built, SQLite from the amalgamation that a package of npm's carries.
musl_libraries() {
    if [ -e "$root/complete" ]; then
        return
    fi
    common_headers
    fetch "$(dpkg --print-architecture)" "$directory/apt" update || true
    fetch "$(dpkg --print-architecture)" "$directory/apt" --download-only source cmocka
    tar -xf "$directory"/apt/packages/cmocka_*.orig.tar.?z -C "$directory"
    (cd "$directory" && npm pack --silent better-sqlite3@12 && tar -xzf better-sqlite3-*.tgz)
    mkdir -p "$root/usr/lib/pkgconfig"
    cp "$directory"/package/deps/sqlite3/sqlite3*.h "$directory"/cmocka-*/include/cmocka*.h "$root/usr/include"
    musl-gcc -O2 -fPIC -DSQLITE_ENABLE_DBSTAT_VTAB -c "$directory/package/deps/sqlite3/sqlite3.c" -o "$directory/sqlite3.o"
    musl-gcc -O2 -w -D_GNU_SOURCE -I"$root/usr/include" -include stdlib.h -include time.h -DHAVE_SIGNAL_H \
        -DHAVE_STRSIGNAL -DHAVE_CLOCK_GETTIME -DHAVE_STRUCT_TIMESPEC -c "$directory"/cmocka-*/src/cmocka.c \
        -o "$directory/cmocka.o"
    ar rcs "$root/usr/lib/libsqlite3.a" "$directory/sqlite3.o"
    ar rcs "$root/usr/lib/libcmocka.a" "$directory/cmocka.o"
    printf 'Name: cmocka\nDescription: cmocka\nVersion: 1\nLibs: -L%s -lcmocka\nCflags: -I%s\n' "$root/usr/lib" \
        "$root/usr/include" >"$root/usr/lib/pkgconfig/cmocka.pc"
    touch "$root/complete"
}

# Builds and tests what the environment says (toolchain.cmake), with more arguments for CMake.
build_and_test() {
    local targets
    cmake -G Ninja -S "$source" -B "$directory/build" -D CMAKE_BUILD_TYPE=Debug -D CTRACK_WERROR=ON \
        -D CTRACK_BUILD_TOOLS=OFF -D CTRACK_INSTALL=OFF "$@"
    targets=$(ninja -C "$directory/build" -t targets all | sed -n 's/^\(test_\(unit\|api\)_[a-z0-9_]*\): phony$/\1/p')
    # shellcheck disable=SC2086 # a list of words
    cmake --build "$directory/build" --target ctrack_shared $targets
    ctest --test-dir "$directory/build" --label-regex '^(unit|api)$' --output-on-failure --parallel "$(nproc)"
}

cross() {
    export PORTABILITY_COMPILER=$1 PORTABILITY_ROOT=$root PORTABILITY_LIBRARIES PORTABILITY_LINK PORTABILITY_EMULATOR
    build_and_test -D CMAKE_TOOLCHAIN_FILE="$source/tests/portability/toolchain.cmake"
}

run_i386() {
    missing i686-linux-gnu-gcc gcc-i686-linux-gnu && return
    foreign i386 i386-linux-gnu
    # Run by the machine itself, with the loader and the C library of the cross compiler.
    local libraries=/usr/i686-linux-gnu/lib
    PORTABILITY_LINK="-Wl,--dynamic-linker=$libraries/ld-linux.so.2"
    PORTABILITY_LINK+=" -Wl,-rpath,$libraries:$root/usr/lib/i386-linux-gnu"
    PORTABILITY_EMULATOR=
    if ! "$libraries/ld-linux.so.2" --version >/dev/null 2>&1; then
        missing qemu-i386 qemu-user && return
        PORTABILITY_EMULATOR=$(command -v qemu-i386)
    fi
    cross i686-linux-gnu-gcc
}

run_s390x() {
    missing s390x-linux-gnu-gcc gcc-s390x-linux-gnu && return
    missing qemu-s390x qemu-user && return
    foreign s390x s390x-linux-gnu
    PORTABILITY_LINK="-Wl,-rpath,/usr/s390x-linux-gnu/lib:$root/usr/lib/s390x-linux-gnu"
    PORTABILITY_EMULATOR="$(command -v qemu-s390x);-L;/usr/s390x-linux-gnu"
    export CTRACK_TEST_TIMEOUT=900 # of one test: some are slow when emulated
    cross s390x-linux-gnu-gcc
}

run_musl() {
    missing musl-gcc musl-tools && return
    missing npm npm && return
    musl_libraries
    export PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig
    PORTABILITY_LIBRARIES='' PORTABILITY_LINK='' PORTABILITY_EMULATOR=''
    cross musl-gcc
}

run_clang() {
    missing clang-14 clang-14 && return
    build_and_test -D CMAKE_C_COMPILER=clang-14
}

if [ "${1:-}" = -i ]; then
    shift
    install_missing gcc-i686-linux-gnu libc6-dev-i386-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user \
        musl-tools clang-14
fi
if [ $# -eq 0 ]; then
    set -- clang musl i386 s390x
fi
for machine in "$@"; do
    directory=$source/build/portability/$machine
    root=$directory/root
    mkdir -p "$root"
    say "$machine"
    (run_"$machine")
done
