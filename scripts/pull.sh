#!/usr/bin/env bash
# Disturbs every workflow at every point, and prints at how many points the promise
# held:
#
#   - The card is pulled out at every command and every write. Nothing is lost, no PIN
#     try is used up, info shows the contents, the same command again completes.
#   - Its answer is replaced by a status word that leaves open whether the card carried
#     the command out. No error is untrue, no PIN is sent twice, no key is lost.
#   - Another card or a twin comes whenever the card is free. Nothing is written to it,
#     no PIN reaches it.
#   - A signal ends the program. The next command works at once.
#
#   ./scripts/pull.sh                everything that works in-process: minutes
#   ./scripts/pull.sh --daemon       the same, and PKCS#15 cards and OpenSC through
#                                    the PC/SC daemon, at a part of the points
#   ./scripts/pull.sh --interrupted  INT, TERM and KILL at every command, with T=0
#                                    and T=1, through the daemon
#   ./scripts/pull.sh --swapped      other cards and twins, in-process and through
#                                    the daemon
#   ./scripts/pull.sh --every        everything at every point: hours
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh

readonly matrices='^Test(Provision)?(Pulled|LiedTo|Swapped)'
readonly in_process=(./cmd/cardctl ./internal/attest ./internal/family/openpgp ./internal/family/piv ./test/opensc) # need no daemon

rows=$(mktemp)
log=$(mktemp)

clean_up() {
	stop_pcscd >&2
	rm -f "$rows" "$log"
}
trap clean_up EXIT

# pull runs tests, which write a row for each workflow.
pull() {
	HELD_TABLE=$rows go test -count=1 -timeout 12h "$@" >"$log" 2>&1 || failed=1
	((failed == 0)) || cat "$log" >&2
}

# on_daemon starts the daemon, once, and runs tests on it.
on_daemon() {
	need card token test >&2
	start_pcscd >&2
	pull -tags stack "$@"
}

table() {
	say '| what | card | workflow | how it was reached | points | held |'
	say '|---|---|---|---|---:|---:|'
	sort "$rows" | awk -F'\t' '
		{ printf "| %s | %s | %s | %s | %d | %d |\n", $1, $2, $3, $4, $5, $6; points += $5; held += $6 }
		END { printf "| all | | | | %d | %d |\n", points, held }
	'
}

failed=0
need build >&2
need_go >&2
case ${1:-} in
'') pull -run "$matrices" "${in_process[@]}" ;;
--daemon)
	pull -run "$matrices" "${in_process[@]}"
	on_daemon -run '^Test.*PulledOnTheWay$' ./test/pkcs15
	;;
--interrupted) PULL_EVERY=1 on_daemon -run '^TestInterrupted' ./test/hardening ;;
--swapped)
	export PULL_EVERY=1
	pull -run '^Test(Provision)?Swapped' "${in_process[@]}"
	on_daemon -run '^TestSwapped' ./test/hardening
	;;
--every)
	export PULL_EVERY=1
	pull -run "$matrices" "${in_process[@]}"
	on_daemon -run '^Test.*PulledOnTheWay$' ./test/pkcs15
	on_daemon -run '^Test(Interrupted|Swapped)' ./test/hardening
	;;
*) die "usage: $0 [--daemon|--interrupted|--swapped|--every]" ;;
esac
table
((failed == 0)) || die "not every point held."
