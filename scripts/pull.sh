#!/usr/bin/env bash
# Pulls the card out at every command, and every write, of every workflow that
# changes a card, and prints how many times all was well afterwards: nothing lost
# that was there, no PIN burned, info says what is there, and the same command
# again completes. Then the same commands are lied about: answered by status words
# that do not say whether they were carried out.
#
#   ./scripts/pull.sh            OpenPGP and Java cards in process: a minute
#   ./scripts/pull.sh --daemon   PKCS#15 cards and OpenSC through the PC/SC daemon
#                                too, at a part of the commands: minutes
#   ./scripts/pull.sh --every    the same at every command: hours
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh

rows=$(mktemp)
held=$(mktemp)
log=$(mktemp)

clean_up() {
	stop_pcscd >&2
	rm -f "$rows" "$held" "$log"
}
trap clean_up EXIT

# pull runs tests, which write a row for each workflow.
pull() {
	PULL_TABLE=$rows HELD_TABLE=$held go test -count=1 -timeout 12h "$@" >"$log" 2>&1 || failed=1
	((failed == 0)) || cat "$log" >&2
}

table() {
	say '| card | workflow | how it was reached | points | recovered |'
	say '|---|---|---|---:|---:|'
	sort "$rows" | awk -F'\t' '
		{ printf "| %s | %s | %s | %d | %d |\n", $1, $2, $3, $4, $5; points += $4; recovered += $5 }
		END { printf "| all | | | %d | %d |\n", points, recovered }
	'
	say
	say '| what | card | workflow | points | held |'
	say '|---|---|---|---:|---:|'
	sort "$held" | awk -F'\t' '
		{ printf "| %s | %s | %s | %d | %d |\n", $1, $2, $3, $4, $5; points += $4; held += $5 }
		END { printf "| all | | | %d | %d |\n", points, held }
	'
}

failed=0
case ${1:-} in
'' | --daemon) ;;
--every) export PULL_EVERY=1 ;;
*) die "usage: $0 [--daemon|--every]" ;;
esac
need build >&2
need_go >&2
pull -run '^TestPulled|^TestLiedTo' ./cmd/cardctl
if (($# > 0)); then
	need card token test >&2
	start_pcscd >&2
	pull -tags stack -run '^Test.*PulledOnTheWay$' ./test/pkcs15
fi
table
((failed == 0)) || die "not every pull was recovered from."
