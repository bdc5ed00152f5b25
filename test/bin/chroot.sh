# A chroot for each supported PostgreSQL that Debian has, of the Debian suite that
# has it, as functions.  To be sourced, by bash.
#
# The chroots are kept in CATALOGUE_MATRIX_DIR (/var/cache/catalogue-matrix).  To
# have newer packages, remove VERSION/ there.  CATALOGUE_MATRIX_MIRROR names a
# Debian mirror; if unset, the one that this machine uses.
#
# All mounts and processes live in namespaces of their own, which end with
# whatever is in them however the script ends.
#
# shellcheck shell=bash source=test/bin/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# "+" adds a suite that only the server's own packages are taken from.
declare -A suites=([15]=bookworm [17]=trixie [18]=forky [19]=sid+experimental)

cache=${CATALOGUE_MATRIX_DIR:-/var/cache/catalogue-matrix}

# what is in the making, or in use by a run
scratch=

# use_chroots VARIABLE VERSION...: as root, who is given the VARIABLE, and alone
use_chroots() {
    local version
    for version in "${@:2}"; do
        [ -n "${suites[$version]-}" ] || die "no Debian suite is known for PostgreSQL $version" "There are: ${!suites[*]}"
    done
    if [ "$(id -u)" != 0 ]; then
        as_root env "$1=${*:2}" CATALOGUE_MATRIX_DIR="$cache" \
            CATALOGUE_MATRIX_MIRROR="${CATALOGUE_MATRIX_MIRROR-}" bash "$0"
        exit
    fi
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
    mkdir -p "$cache"
    exec {lock}>"$cache/lock"
    flock -n "$lock" || die "another check-matrix or check-asserts is at work in $cache"
}

clean_up() {
    trap '' HUP INT PIPE TERM
    [ -z "$attended" ] || kill -s KILL -- "-$attended" 2>/dev/null || true
    remove_scratch
}

remove_scratch() {
    # what was killed may be writing its last
    until [ -z "$scratch" ] || rm -rf "$scratch"; do sleep 0.1; done
    scratch=
}

# isolated COMMAND...: in namespaces of its own
isolated() { attend unshare --mount --propagation private --pid --fork --kill-child -- "$@"; }

# The mirror that this machine's own suite comes from.
find_mirror() {
    local codename
    codename=$(. /etc/os-release && say "${VERSION_CODENAME-}")
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        sed -nE "s,^$codename (https?://.*),\1,p;T;q"
}

# This machine's way to the mirror, for a chroot's apt.
apt_settings() { apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' || true; }

# make_chroot VERSION: with what a new machine has; the rest is test/bin/setup's.
# When it fails, what it has made is the scratch directory.
make_chroot() {
    local root=$cache/$1 suite=${suites[$1]%+*} extra='' mirror=${CATALOGUE_MATRIX_MIRROR-} http_proxy=${http_proxy-}
    [ -n "$mirror" ] || mirror=$(find_mirror)
    if [ -z "$mirror" ]; then
        say 'apt names no Debian mirror; set CATALOGUE_MATRIX_MIRROR' >&2
        return 1
    fi
    have debootstrap || { apt-get -qq update && apt-get -qq install -y debootstrap; } || return
    eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    scratch=$root.new
    rm -rf "$scratch"
    # an older debootstrap does not know the newer suites, which are all made alike
    http_proxy=$http_proxy isolated debootstrap --variant=minbase --include=ca-certificates,gcc,git,make \
        "$suite" "$scratch" "$mirror" /usr/share/debootstrap/scripts/sid || return
    apt_settings >"$scratch/etc/apt/apt.conf.d/catalogue"
    if [[ ${suites[$1]} = *+* ]]; then
        extra=${suites[$1]#*+}
        say "deb $mirror $extra main" >"$scratch/etc/apt/sources.list.d/$extra.list"
        printf 'Package: src:postgresql-%s\nPin: release a=%s\nPin-Priority: 990\n' "$1" "$extra" \
            >"$scratch/etc/apt/preferences.d/postgresql"
    fi
    mv "$scratch" "$root"
    scratch=
}

# Makes the scratch directory, which is the /tmp of a chroot, with this tree in it.
make_scratch() {
    scratch=$(mktemp -d -p "$cache")
    chmod 1777 "$scratch"
    mkdir "$scratch/catalogue"
    copy_tree "$scratch/catalogue"
}

# in_chroot VERSION COMMAND...
in_chroot() { isolated bash -c "$enter" - "$cache/$1" "$scratch" "${@:2}"; }

# Runs inside the namespaces: enter ROOT SCRATCH COMMAND...
# shellcheck disable=SC2016
enter='
    set -eu
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
    mount --bind "$2" "$1/tmp"
    cat /etc/resolv.conf >"$1/etc/resolv.conf"
    exec chroot "$1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb DEBIAN_FRONTEND=noninteractive "${@:3}"
'
