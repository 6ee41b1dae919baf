#!/usr/bin/env bash
# Prints what each job costs in APDUs and bytes, for cardctl, OpenSC and GnuPG
# on the same simulated card, and start-up time and memory, as the tables of
# docs/performance.md. Fails if a count is over its limit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/ykman.sh
. scripts/lib/pcscd.sh
. scripts/lib/measures.sh

tables=$(mktemp)
log=$(mktemp)

clean_up() {
	stop_pcscd >&2
	rm -f "$tables" "$log"
}
trap clean_up EXIT

{
	need build card token test
	need_go
	need_ykman
} >&2

export LEDGER_ROWS=10000 # of eight stations; scripts/test.sh has fewer

# bench runs tests of test/bench, which write tables.
bench() {
	BENCH_TABLES=$tables go test -tags stack -count=1 -timeout 1h "$@" ./test/bench >"$log" || die "a measurement failed or is over its limit:" "$(<"$log")"
}

start_pcscd >&2
bench -skip "$OF_OTHERS"
bench -run "$OF_FILES"
stop_pcscd >&2
start_pcscd more-readers >&2
bench -run "$OF_A_PROCESS"
cat "$tables"
