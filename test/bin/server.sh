# A throw-away server with this tree's extension in it, as functions.  To be
# sourced, by bash.
#
# Everything is in one private directory, $scratch:
#
#   root/         a copy of the server's installation, and the extension in it:
#                 the one on the machine gets no file of ours
#   src/          a copy of the tree, since the user who runs the server may
#                 not read this one, and for nothing to be written to it
#   build/        objects and what the suites write
#   data/ tmp/ home/ socket/
#
# A server refuses to run as root.  Where we are root, all that is done there is
# done by another user.
# shellcheck shell=bash source=test/bin/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=
server_user=
drop=()

# Makes the scratch directory, and sees to its end: whatever ends this script,
# nothing is left that runs or lies about.
make_scratch() {
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
    if [ "$(id -u)" = 0 ]; then
        server_user=postgres
        id $server_user >/dev/null 2>&1 || server_user=nobody
        drop=(setpriv "--reuid=$server_user" "--regid=$(id -g $server_user)" --init-groups --)
    fi
    scratch=$(mktemp -d -p "$(scratch_parent)" --suffix=.catalogue)
    mkdir "$scratch"/{root,src,tmp,home,socket}
    # The mark by which clean_up knows what has come of us.
    export CATALOGUE_SCRATCH=$scratch
    export HOME=$scratch/home TMPDIR=$scratch/tmp
}

# TMPDIR, unless make (which splits at blanks), a socket's name (of 107 bytes at
# most) or the server's user could not live with it.
scratch_parent() {
    if [[ ${TMPDIR-} =~ ^/[A-Za-z0-9._/-]{1,60}$ ]] && "${drop[@]}" test -d "$TMPDIR" -a -w "$TMPDIR"; then
        say "$TMPDIR"
    else
        say /tmp
    fi
}

clean_up() {
    trap '' HUP INT PIPE TERM
    export -n CATALOGUE_SCRATCH
    [ -n "$scratch" ] || return 0
    end_processes
    rm -rf "$scratch"
    scratch=
}

# Ends what carries our mark: the suites, their clients, and servers and other
# daemons, which no process group would tell.  TERM lets tests clean up and idle
# servers stop, INT makes a server throw its clients out.
end_processes() {
    local signal pids try
    for signal in TERM INT QUIT KILL; do
        for try in {1..30}; do
            pids=$(marked_processes)
            [ -n "$pids" ] || return 0
            # shellcheck disable=SC2086
            [ "$try" -gt 1 ] || kill -s $signal $pids 2>/dev/null || true
            sleep 0.1
        done
    done
}
marked_processes() {
    { grep -lszxF "CATALOGUE_SCRATCH=$scratch" /proc/[0-9]*/environ || true; } | cut -d / -f 3
}

# run COMMAND...: as the server's user
run() {
    # an interactive program needs the terminal
    if [ -t 0 ]; then "${drop[@]}" "$@"; else attend "${drop[@]}" "$@"; fi
}

# quietly LOG COMMAND...: shows what the command says only when it fails.
quietly() {
    local log=$scratch/$1 status=0
    run "${@:2}" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    return "$status"
}

# PostgreSQL finds its libraries and its SQL relative to its programs, so a copy
# that keeps their places to each other works.
copy_installation() {
    local original=${PG_CONFIG:-pg_config} kind directory bindir
    have "$original" || die "there is no $original"
    for kind in pkglibdir sharedir pkgincludedir includedir-server; do
        directory=$("$original" "--$kind")
        mkdir -p "$scratch/root$directory"
        cp -R "$directory/." "$scratch/root$directory/"
    done
    # the programs may share a directory with all others of the machine
    directory=$("$original" --bindir)
    bindir=$scratch/root$directory
    mkdir -p "$bindir"
    find "$directory/" -maxdepth 1 \( -name 'pg*' -o -name postgres -o -name initdb -o -name psql \
        -o -name 'create*' -o -name 'drop*' -o -name 'reindexdb' -o -name 'vacuumdb' \) \
        -exec cp -R -t "$bindir" {} +
    export PG_CONFIG=$bindir/pg_config PATH=$bindir:$PATH
    "$PG_CONFIG" --version >/dev/null || die "cannot run programs in $scratch" 'Let TMPDIR name another directory.'
    borrow_pgtap "$("$PG_CONFIG" --sharedir)/extension"
}

# A server too new for a package of pgTAP makes do with the newest that the
# machine has: pgTAP is SQL, the same for every server it supports.
borrow_pgtap() {
    local newest
    [ ! -e "$1/pgtap.control" ] || return 0
    newest=$(compgen -G '/usr/share/postgresql/*/extension/pgtap.control' | sort -V | tail -n 1) || return 0
    cp "${newest%.control}"* "$1/"
}

# build DIRECTORY [VARIABLE=VALUE]...: out of the tree, with every processor.
build() {
    "${drop[@]}" mkdir -p "$scratch/$1"
    quietly "$1.log" make -s -C "$scratch/$1" -f "$scratch/src/Makefile" -j "$(nproc)" "${@:2}"
}

# Copies what is needed and hands it to the user who runs the server.
prepare() {
    "$top/test/bin/setup"
    make_scratch
    copy_tree "$scratch/src"
    copy_installation
    [ -z "$server_user" ] || chown -R "$server_user" "$scratch"
    cd "$scratch/src"
}

# Reached through a socket in a private directory alone: no port is taken, and
# nobody else gets in.
start_server() {
    export PGHOST=$scratch/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGDATA=$scratch/data
    quietly initdb.log initdb --username=postgres --auth=trust --no-sync --no-locale --encoding=UTF8 || return
    cat >>"$PGDATA/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$PGHOST'
unix_socket_permissions = 0700
fsync = off
log_line_prefix = '%m [%p] %q%d '
CONF
    if ! quietly pg_ctl.log pg_ctl --wait --log="$scratch/server.log" start; then
        cat "$scratch/server.log" >&2
        return 1
    fi
}
