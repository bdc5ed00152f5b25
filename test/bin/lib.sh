# What the scripts of this directory share.  To be sourced, by bash.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# The caller's settings must reach neither the clients of our server (they
# would go to his, or speak his language) nor an inner make.
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
        die 'this takes root, and sudo is not installed' "As root, run: $*"
    fi
}
