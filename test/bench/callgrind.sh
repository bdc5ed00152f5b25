# What a server executes for a statement, counted by callgrind: counts vary far
# less than times.  To be sourced, by bash.
#
# A session is a single-user backend on $PGDATA, whose server must be stopped.  It
# gets $session_options, since it reads no settings of databases and roles.  Not
# counted are the output of rows, which it prints in its own way, the pruning of
# pages, which only a call that was rolled back leaves to the next, and the
# checkpoint at its end.
# shellcheck shell=bash

session_options=()

# instructions DATABASE STATEMENTS BEFORE CALLS: thousands for one of so many
# calls, each rolled back, in a session that has made others before.  They are
# what a session executes, less what one does that has empty transactions in the
# place of these calls.
instructions() {
	local call without with
	call="BEGIN; $(tr '\n' ' ' <<<"$2"); ROLLBACK"
	without=$({ repeat "$3" "$call"; repeat "$4" 'BEGIN; ROLLBACK'; } | count_session "$1") || return
	with=$(repeat $(($3 + $4)) "$call" | count_session "$1") || return
	awk -v with="$with" -v without="$without" -v calls="$4" 'BEGIN { print (with - without) / calls / 1000 }'
}

repeat() {
	local i
	for ((i = 0; i < $1; i++)); do printf '%s\n' "$2"; done
}

# count_session DATABASE: of a session that runs the lines of standard input
count_session() {
	local log status=0
	log=$(mktemp)
	valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		--toggle-collect=debugtup --toggle-collect=heap_page_prune_opt --toggle-collect=ShutdownXLOG \
		--collect-atstart=yes \
		postgres --single -D "$PGDATA" "${session_options[@]}" "$1" >/dev/null 2>"$log" || status=1
	! grep -v '^==' "$log" | grep 'ERROR: ' >&2 || status=1
	sed -nE 's/.*Collected : ([0-9]+).*/\1/p' "$log"
	rm "$log"
	return $status
}
