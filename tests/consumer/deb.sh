#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deb.sh CPACK DIRECTORY: makes Debian packages of what consumer.sh has built, looks at what they say and hold, unpacks
# them and runs what is in them. dpkg does not install them here: a test leaves the machine as it was.
set -eu
cpack=$1 directory=$2
root=$directory/root

if ! command -v dpkg-shlibdeps >/dev/null; then
    echo "dpkg-shlibdeps is not here (apt-get install dpkg-dev): Debian packages are NOT tested"
    exit 77
fi

rm -rf "$directory/deb" "$root"
"$cpack" -G DEB --config "$directory/build/CPackConfig.cmake" -B "$directory/deb"

# package NAME DEPENDENCY FILE...: NAME depends on what it must, and these files are in it.
package() {
    name=$1 dependency=$2
    shift 2
    file=$(find "$directory/deb" -maxdepth 1 -name "${name}_*.deb")
    if ! dpkg-deb -f "$file" Depends | grep -q "$dependency"; then
        echo "$name does not depend on $dependency: $(dpkg-deb -f "$file" Depends)" >&2
        exit 1
    fi
    dpkg-deb -c "$file" >"$directory/deb/$name.list"
    for wanted in "$@" "/usr/share/doc/$name/copyright"; do
        if ! grep -q "$wanted" "$directory/deb/$name.list"; then
            echo "$name has no $wanted:" >&2
            cat "$directory/deb/$name.list" >&2
            exit 1
        fi
    done
    dpkg -x "$file" "$root"
}

package libctrack0 'libsqlite3-0 (>= 3.37)' '/libctrack\.so\.0 -> '
package libctrack-dev 'libctrack0 (= ' /usr/include/ctrack.h '/libctrack\.a' '/libctrack\.so -> ' /pkgconfig/ctrack.pc \
    /cmake/ctrack/ctrackConfig.cmake /man3/ctrack.3
package ctrack 'libc6 (>= ' /usr/bin/ctrack
package libsqlite3-mod-ctrack 'libc6 (>= ' '/ctrack\.so'

# One file in two packages could not be installed.
twice=$(grep -hv '/$' "$directory"/deb/*.list | awk '{print $6}' | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "in more than one package: $twice" >&2
    exit 1
fi

rm -f "$directory"/deb.db*
"$root/usr/bin/ctrack" update "$directory/deb.db" doc-7:document:main=12
"$root/usr/bin/ctrack" get "$directory/deb.db" doc-7:document:main | grep -qx 12
