# The statements that test/bench/feed measures, a file each in $scratch.  To be
# sourced, by bash.
#
# :f is the round's filiere, :fs an array of twenty, as the application would
# send them, :last_id and :last_at a page's cursor; $order is the feed's order.
# Each arm of the UNION ALL has its own LIMIT: so they are read in order and
# merged, and no further than needed.
# shellcheck shell=bash

order='ORDER BY created_at DESC NULLS LAST, id DESC'
narrow='id, chapitre, titre'
chapters=bench.chapitres_complets
big=bench_big.chapitres_complets

variant() { say "$2" >"$scratch/$1.sql"; }

# page RELATION N: of :f
page() { say "SELECT $narrow FROM $1 WHERE filiere_id = :f $order LIMIT $2"; }

variant all_ours "SELECT * FROM bench.recent_chapters(:f, 100);"
variant all_hand "SELECT * FROM $chapters WHERE filiere_id = :f $order LIMIT 100;"
for n in 1 10 100; do
    variant "narrow_${n}_ours" "SELECT $narrow FROM bench.recent_chapters(:f, $n);"
    variant "narrow_${n}_hand" "$(page "$chapters" $n);"
done

variant merged_ours "SELECT $narrow FROM bench.recent_chapters_any(:fs::varchar[], 100);"
variant merged_any "SELECT $narrow FROM $chapters WHERE filiere_id = ANY (:fs::varchar[]) $order LIMIT 100;"
variant merged_lateral "SELECT $narrow FROM unnest(:fs::varchar[]) AS f, LATERAL (
    SELECT $narrow, created_at FROM $chapters WHERE filiere_id = f $order LIMIT 100) AS c $order LIMIT 100;"
variant merged_union "SELECT $narrow FROM ($(
    for i in {1..20}; do
        [ "$i" = 1 ] || printf ' UNION ALL '
        printf '(SELECT %s FROM %s WHERE filiere_id = (:fs::varchar[])[%s] %s LIMIT 100)' "$narrow, created_at" "$chapters" "$i" "$order"
    done)) AS c $order LIMIT 100;"

# What is around a call: its own order repeated, a LIMIT, the subject's name.
variant ordered_100_ours "SELECT $narrow FROM bench.recent_chapters(:f, 100) $order;"
variant ordered_all_ours "SELECT $narrow FROM bench.recent_chapters(:f, NULL) $order;"
variant ordered_all_hand "SELECT $narrow FROM $chapters WHERE filiere_id = :f $order;"
variant limited_ours "SELECT $narrow FROM bench.recent_chapters(:f, NULL) $order LIMIT 20;"
variant limited_hand "$(page "$chapters" 20);"
joined="bench.subjects AS s ON s.id = c.matiere_id ORDER BY c.created_at DESC NULLS LAST, c.id DESC"
variant joined_ours "SELECT c.id, chapitre, titre, s.nom FROM bench.recent_chapters(:f, 100) AS c JOIN $joined;"
variant joined_hand "SELECT c.id, chapitre, titre, s.nom
    FROM (SELECT * FROM $chapters WHERE filiere_id = :f $order LIMIT 100) AS c JOIN $joined;"

# A filiere at random out of 200: pgbench has each as a variable, and finds it by
# halving, which takes the same time for either variant and no work of the server.
random_of() { # STATEMENT LOW HIGH, exclusive
    if [ $(($3 - $2)) = 1 ]; then
        say "${1//:f/:f$2}"
    else
        say "\\if :k < $((($2 + $3) / 2))"
        random_of "$1" "$2" $((($2 + $3) / 2))
        say '\else'
        random_of "$1" $((($2 + $3) / 2)) "$3"
        say '\endif'
    fi
}
random_variant() {
    variant "$1" "\\set k random(0, 199)
$(random_of "$2" 0 200)"
}
random_variant random_ours "SELECT $narrow FROM bench.recent_chapters(:f, 100);"
random_variant random_hand "$(page "$chapters" 100);"

# Of a server whose pages are not in memory, one statement for all.
variant cold_ours "\\set k random(0, 199)
SELECT $narrow FROM bench.recent_chapters(bench.filiere(:k), 100);"
variant cold_hand "\\set k random(0, 199)
SELECT $narrow FROM $chapters WHERE filiere_id = bench.filiere(:k) $order LIMIT 100;"

# 16 partitions, by the filiere's hash and by time; there each has its own page.
for by in hash time; do
    variant "${by}_ours" "SELECT id, titre FROM bench_$by.recent_chapters(:f, 100);"
    variant "${by}_hand" "SELECT id, titre FROM bench_$by.chapters WHERE filiere_id = :f $order LIMIT 100;"
    variant "${by}_merged_ours" "SELECT id, titre FROM bench_$by.recent_chapters_any(:fs::varchar[], 100);"
    variant "${by}_merged_lateral" "SELECT id, titre FROM unnest(:fs::varchar[]) AS f, LATERAL (
        SELECT id, titre, created_at FROM bench_$by.chapters WHERE filiere_id = f $order LIMIT 100) AS c $order LIMIT 100;"
done

# Many filieres, of which the table has 200.  That they lie in a table keeps the
# parsing of so long an array out of the figures.
for many in 1000 30000; do
    names="(SELECT names FROM bench.many_filieres WHERE size = $many)"
    variant "many_${many}_ours" "SELECT $narrow FROM bench.recent_chapters_any($names, 100);"
    variant "many_${many}_any" "SELECT $narrow FROM $chapters WHERE filiere_id = ANY ($names::varchar[]) $order LIMIT 100;"
    variant "many_${many}_lateral" "SELECT $narrow FROM unnest($names) AS f, LATERAL (
        SELECT $narrow, created_at FROM $chapters WHERE filiere_id = f $order LIMIT 100) AS c $order LIMIT 100;"
done

variant size_small "SELECT $narrow FROM bench_big.recent_chapters(:f, 100);"
variant size_big "SELECT $narrow FROM bench_big.recent_chapters('big', 100);"
variant page_first "SELECT $narrow FROM bench_big.recent_chapters('big', 100);"
variant page_deep "SELECT $narrow FROM bench_big.recent_chapters('big', 100, before_id => :last_id);"
variant page_deep_at "SELECT $narrow FROM bench_big.recent_chapters('big', 100, :last_id, :last_at);"
variant page_alone "SELECT $narrow FROM bench_big.recent_chapters('big', 100, before_id => :alone_id);"
variant round_trip 'SELECT 1;'
