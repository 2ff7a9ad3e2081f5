#!/bin/sh
# test_live.sh FOLDER TEST… -- SAMPLE…: serves a node in FOLDER, lets each TEST ask it, and each SAMPLE say what to do.
set -eu
out=$1
shift
export CONSENTD_DATA=$out/club
"$CONSENTD" init --catalog template >/dev/null
"$CONSENTD" catalog template >"$out/catalog.yaml"
"$CONSENTD" grant customer:7 email:kari@example.no -p newsletter --declaration club-membership-marketing \
    --revision 1.2 --language nb --method double_opt_in >/dev/null
"$CONSENTD" serve --listen none >"$out/serve.log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true' EXIT
tries=0
until grep -qs '^ready' "$out/serve.log"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$out/serve.log"; exit 1; }
    sleep 0.1
done
socket=$(sed -n 's/^listening on unix://p' "$out/serve.log")
while [ "$1" != -- ]; do
    "$out/$1" "$socket" "$out/catalog.yaml"
    shift
done
shift
for sample; do
    test "$("$out/$sample" "$socket" ' Kari@Example.NO ' newsletter)" = 'send it'
    test "$("$out/$sample" "$socket" ola@example.no newsletter)" = 'do not send it'
    if "$out/$sample" "$socket" kari@example.no no-such 2>/dev/null; then exit 1; fi
done
