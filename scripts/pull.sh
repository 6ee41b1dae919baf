#!/usr/bin/env bash
# Pulls the card out at every command, and every write, of every workflow that
# changes a card, and prints how many times all was well afterwards: nothing lost
# that was there, no PIN burned, info says what is there, and the same command
# again completes.
#
#   ./scripts/pull.sh            OpenPGP and Java cards in process: a minute
#   ./scripts/pull.sh --daemon   PKCS#15 cards and OpenSC through the PC/SC daemon
#                                too, at a part of the commands: minutes
#   ./scripts/pull.sh --every    the same at every command: hours
#   ./scripts/pull.sh --interrupted  ends the program by INT, TERM and KILL at every
#                        command instead, over T=0 and T=1: minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh

rows=$(mktemp)
log=$(mktemp)

clean_up() {
	stop_pcscd >&2
	rm -f "$rows" "$log"
}
trap clean_up EXIT

# pull runs tests, which write a row for each workflow.
pull() {
	PULL_TABLE=$rows go test -count=1 -timeout 12h "$@" >"$log" 2>&1 || failed=1
	((failed == 0)) || cat "$log" >&2
}

table() {
	say "| card | workflow | how it was reached | points | $held |"
	say '|---|---|---|---:|---:|'
	sort "$rows" | awk -F'\t' '
		{ printf "| %s | %s | %s | %d | %d |\n", $1, $2, $3, $4, $5; points += $4; recovered += $5 }
		END { printf "| all | | | %d | %d |\n", points, recovered }
	'
}

failed=0
held=recovered
case ${1:-} in
'' | --daemon) ;;
--every) export PULL_EVERY=1 ;;
--interrupted) held=held ;;
*) die "usage: $0 [--daemon|--every|--interrupted]" ;;
esac
need build >&2
need_go >&2
if [[ $held == held ]]; then
	need card token test >&2
	start_pcscd >&2
	INTERRUPT_EVERY=1 pull -tags stack -run '^TestInterrupted$' ./test/hardening
	table
	((failed == 0)) || die "not every interrupt was survived."
	exit
fi
pull -run '^TestPulled' ./cmd/cardctl
if (($# > 0)); then
	need card token test >&2
	start_pcscd >&2
	pull -tags stack -run '^Test.*PulledOnTheWay$' ./test/pkcs15
fi
table
((failed == 0)) || die "not every pull was recovered from."
