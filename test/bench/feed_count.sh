# What the server executes for one call, without the output of its rows: counts
# vary far less than times.  To be sourced by test/bench/feed.
#
# Callgrind counts a single-user backend that runs a batch of calls, less one that
# runs only the first twelve; nothing is counted inside debugtup(), which prints the
# rows there.  Parsing, planning and execution remain, in a small copy of the tables.
# In prepared mode each call is an EXECUTE, which is parsed and has a portal of its
# own: that, the transaction and SELECT 1 are some 38,000 on either side.
# shellcheck shell=bash

# instructions VARIANT MODE ROWS: of one call, which returns so many rows
instructions() {
    local calls=30 short long
    short=$(count_session "$1" "$2" "$3" 12)
    long=$(count_session "$1" "$2" "$3" $((12 + calls)))
    say $(((long - short) / calls))
}

# count_session VARIANT MODE ROWS CALLS: of a whole session
count_session() {
    local statement value i
    statement=$(literal "$1" | tr '\n' ' ')
    {
        if [ "$2" = prepared ]; then
            # a variant has one parameter
            if grep -q ':fs\b' "$scratch/$1.sql"; then value=$array; else value=${filieres[0]}; fi
            # shellcheck disable=SC2016
            say "PREPARE page AS $(tr '\n' ' ' <"$scratch/$1.sql" | sed -e 's/:fs\?\b/$1/g')"
            statement="EXECUTE page('$value')"
        fi
        for ((i = 0; i < $4; i++)); do say "$statement"; done
    } | valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=debugtup --collect-atstart=yes \
        "$single_user/bin/postgres" --single -D "$single_user/data" -c plan_cache_mode=force_generic_plan bench \
        >"$scratch/single.out" 2>"$scratch/single.err" || die "single-user backend: $(tail -n 5 "$scratch/single.err")"
    [ "$(grep -c '= "Introduction, partie' "$scratch/single.out")" -eq $(($4 * $3)) ] ||
        die "single-user backend: other rows than expected of $1, $2"
    sed -nE 's/.*Collected : ([0-9]+).*/\1/p' "$scratch/single.err"
}

make_single_user() {
    single_user=$scratch/single
    mkdir -p "$single_user"
    ln -s "$("$PG_CONFIG" --bindir)" "$single_user/bin"
    initdb -D "$single_user/data" -U postgres -A trust -N --no-locale --encoding=UTF8 >/dev/null
    (
        # shellcheck disable=SC2030
        export PGHOST=$single_user PGPORT=5433 PGUSER=postgres
        pg_ctl -w -D "$single_user/data" -l "$single_user/log" \
            -o "-c listen_addresses= -c unix_socket_directories=$single_user -c port=5433 -c fsync=off" start >/dev/null
        status=0
        { createdb bench && sql -v chapters=10000 -v big=1000 -f "$here/feed.sql" >/dev/null; } || status=$?
        pg_ctl -w -D "$single_user/data" -m fast stop >/dev/null
        exit $status
    )
}

# counted MEASURE ROWS LIMIT OURS THEIRS...: a row for each mode
counted() {
    local mode name best='' ours theirs
    for mode in simple prepared; do
        ours=$(instructions "$4" $mode "$2")
        best=
        for name in "${@:5}"; do
            theirs=$(instructions "$name" $mode "$2")
            [ -n "$best" ] && [ "$best" -le "$theirs" ] || best=$theirs
        done
        quotient "$1, ${mode/simple/unprepared}" "$ours" "$best" "$3"
    done
}

# The instructions of calls whose times are few microseconds, or near their limit.
count_all() {
    counted 'n = 1' 1 0.9 narrow_1_ours narrow_1_hand
    counted 'n = 10' 10 0.9 narrow_10_ours narrow_10_hand
    counted 'n => NULL, its own ORDER BY' 500 1.0 ordered_all_ours ordered_all_hand
    counted 'n => NULL, LIMIT 20 above' 20 1.0 limited_ours limited_hand
    counted 'joined with the subject' 100 1.0 joined_ours joined_hand
    counted '20 merged' 100 0.35 merged_ours merged_any merged_lateral
    counted '20 merged against UNION ALL' 100 0.60 merged_ours merged_union
    for by in hash time; do
        counted "by $by, one filiere" 100 1.0 "${by}_ours" "${by}_hand"
        counted "by $by, 20 merged" 100 1.0 "${by}_merged_ours" "${by}_merged_lateral"
    done
}
