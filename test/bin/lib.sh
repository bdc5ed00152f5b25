# What the scripts of this directory share.  To be sourced, by bash.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# The caller's settings must reach neither the clients of our server (they
# would go to another server, or speak another language) nor an inner make.
umask 022
unset CDPATH MAKEFLAGS MAKEOVERRIDES MFLAGS MAKELEVEL LANGUAGE "${!LC_@}"
for variable in "${!PG@}"; do
    [ "$variable" = PG_CONFIG ] || unset "$variable"
done
unset variable
export LANG=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }

# die MESSAGE [DETAIL]...
die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -eq 1 ] || printf '    %s\n' "${@:2}" >&2
    exit 1
}

# have PROGRAM: is it there?
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: at once for root, through sudo for others
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die 'this takes root, and sudo is not installed' "As root, run: $0"
    fi
}

# attend COMMAND...: runs it in the background and waits, since bash acts on a
# signal at once only when it waits.  Its process group has the number $attended.
attended=
attend() {
    set -m
    "$@" &
    set +m
    attended=$!
    wait "$attended"
}

# copy_tree DIRECTORY: what git tracks or would track; without git (a release's
# tarball) everything but what make builds, which a VPATH build would take for
# its own.
copy_tree() {
    local files version
    files=$(mktemp)
    version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$top/catalogue.control")
    if tracked_files >"$files" 2>/dev/null; then
        tar -C "$top" --null -T "$files" -cf - | tar -C "$1" -xf -
    else
        tar -C "$top" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
            --exclude="./extension/catalogue--$version.sql" -cf - . |
            tar -C "$1" -xf -
    fi
    rm -f "$files"
}
tracked_files() {
    local file
    [ -e "$top/.git" ] || return 1
    git -c "safe.directory=$top" -C "$top" ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            [ ! -e "$top/$file" ] || printf '%s\0' "$file"
        done
}
