#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deb.sh CPACK DIRECTORY: makes Debian packages of what consumer.sh has built, looks at what they say and hold, installs
# them below DIRECTORY/root with a dpkg database of their own, runs what is in them, and removes them without a trace.
set -eu
cpack=$1 directory=$2
root=$directory/root

if ! command -v dpkg-shlibdeps >/dev/null; then
    echo "dpkg-shlibdeps is not here (apt-get install dpkg-dev): Debian packages are NOT tested"
    exit 77
fi

rm -rf "$directory/deb" "$root"
# The packages' scripts have the loader look at its directories again. Those are the machine's, which a test leaves alone,
# and an ordinary user has to: instead it is noted. dpkg also wants what an ordinary user's PATH lacks.
told=$directory/deb/told
mkdir -p "$directory/deb/bin"
printf '#!/bin/sh\necho ldconfig >>"%s"\n' "$told" >"$directory/deb/bin/ldconfig"
chmod +x "$directory/deb/bin/ldconfig"
PATH=$directory/deb/bin:$PATH:/usr/sbin:/sbin

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
}

# install_or_remove DPKG-ARGUMENT...: below the root; what the packages depend on is the machine's.
install_or_remove() {
    dpkg --root="$root" --log=/dev/null --force-not-root --force-script-chrootless --force-depends "$@" \
        >"$directory/deb/dpkg.log" 2>&1 || {
        cat "$directory/deb/dpkg.log" >&2
        exit 1
    }
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

mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
install_or_remove -i "$directory"/deb/*.deb
if [ ! -e "$told" ]; then
    echo "installing does not run ldconfig: the loader would not find the library" >&2
    exit 1
fi

rm -f "$directory"/deb.db*
"$root/usr/bin/ctrack" update "$directory/deb.db" doc-7:document:main=12
"$root/usr/bin/ctrack" get "$directory/deb.db" doc-7:document:main | grep -qx 12

install_or_remove --purge libctrack0 libctrack-dev ctrack libsqlite3-mod-ctrack
left=$(find "$root" ! -type d ! -path "$root/var/lib/dpkg/*")
if [ -n "$left" ]; then
    echo "left behind: $left" >&2
    exit 1
fi
