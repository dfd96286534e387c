#!/bin/sh
# SPDX-License-Identifier: MIT
#
# consumer.sh install|find_package|pkg-config|add_subdirectory CMAKE SOURCE DIRECTORY: programs of other people, in C and
# in C++, with the shared and with the static library. DIRECTORY/prefix is the installation that `install` makes there; it
# has been moved from where it was installed to. CC and CXX are the compilers.
set -eu
way=$1 cmake=$2 source=$3 directory=$4
here=$(cd "$(dirname "$0")" && pwd)
prefix=$directory/prefix

# A build that other packages are made of: optimised, and without the sanitizers of the build that runs this test.
install() {
    "$cmake" -G Ninja -S "$source" -B "$directory/build" -D CMAKE_BUILD_TYPE=Release -D CTRACK_BUILD_TESTS=OFF \
        -D CMAKE_INSTALL_PREFIX=/usr
    "$cmake" --build "$directory/build"
    rm -rf "$directory/elsewhere" "$prefix"
    "$cmake" --install "$directory/build" --prefix "$directory/elsewhere"
    mv "$directory/elsewhere" "$prefix"
}

# run PROGRAM...: each must exit with 0.
run() {
    for program in "$@"; do
        echo "running $program"
        rm -f consumer.db*
        "$program"
    done
}

# project ARGUMENT...: the CMake project beside this script.
project() {
    rm -rf "$directory/$way"
    "$cmake" -G Ninja -S "$here/project" -B "$directory/$way" -D CMAKE_BUILD_TYPE=Release "$@"
    "$cmake" --build "$directory/$way"
    cd "$directory/$way"
    run ./c-ctrack ./c-static ./cpp-ctrack ./cpp-static
}

# shellcheck disable=SC2046 # lists of words
with_pkg_config() {
    rm -rf "$directory/$way"
    mkdir -p "$directory/$way"
    cd "$directory/$way"
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name ctrack.pc)")
    export PKG_CONFIG_PATH
    "$CC" "$here/consumer.c" -o c-shared $(pkg-config --cflags --libs ctrack)
    "$CXX" "$here/consumer.cpp" -o cpp-shared $(pkg-config --cflags --libs ctrack)
    "$CC" "$here/unload.c" -o unload $(pkg-config --cflags ctrack sqlite3) -lsqlite3 -ldl
    # The library by its name: -static would ask for a static libc, where a lookup of names misses its modules.
    static="$(pkg-config --static --libs ctrack | sed 's/-lctrack/-l:libctrack.a/')"
    # shellcheck disable=SC2086
    "$CC" "$here/consumer.c" -o c-static $(pkg-config --cflags ctrack) $static
    # The installation is not where the loader looks.
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir ctrack)
    export LD_LIBRARY_PATH
    run ./c-shared ./cpp-shared ./c-static ./unload
}

case $way in
install) install ;;
find_package) project -D CMAKE_PREFIX_PATH="$prefix" ;;
add_subdirectory) project -D CTRACK_SOURCE="$source" ;;
pkg-config) with_pkg_config ;;
esac
