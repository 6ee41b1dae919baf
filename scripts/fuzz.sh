#!/usr/bin/env bash
# Runs the fuzz targets, each for the given time (10m unless told), and prints
# what each did as a table:
#
#   ./scripts/fuzz.sh [-j N] [-l DIR] [TIME [TARGET...]]
#
# -j N   so many targets at a time (1), each on its share of the processors
# -l DIR keep a log of each target there; the table is made of all logs in it,
#        so that one target can be run again and stand in the same table
# TARGET only those, such as internal/csr.FuzzParseName
#
# Fails where a target found an input that fails. The input stands in testdata/fuzz
# of the package then, where go test runs it from now on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh

# targets prints package.target in each line.
targets() {
	local file
	grep -rl --include='*_test.go' '^func Fuzz' internal cmd | sort | while read -r file; do
		sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$(dirname "$file").\1|p" "$file"
	done
}

# fuzz runs one target. What go test finds interesting it makes shorter, for a
# minute each unless told: a ZIP archive does not get any shorter, and nothing
# else would be tried meanwhile.
fuzz() {
	local target=$1 log=$2/${1//\//_}.log outcome=pass
	go test -run '^$' -fuzz "^${target##*.}\$" -fuzztime "$fuzz_time" -fuzzminimizetime 1s -parallel "$workers" \
		"./${target%.*}" </dev/null >"$log" 2>&1 || outcome=fail
	# go test reports an input that it was about to try when the time was over.
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		outcome=pass
	fi
	printf 'target: %s\noutcome: %s\n' "$target" "$outcome" >>"$log"
	say "$outcome $target"
	if [[ $outcome == fail ]]; then
		grep -v '^fuzz: elapsed' "$log"
	fi
}

# row prints a line of the table: the last that the fuzzer said of how far it is,
# and whether it stopped at a failing input.
row() {
	awk '
		/^fuzz: elapsed:/ {
			time = $3; sub(",", "", time)
			execs = $5
			for (i = 1; i < NF; i++) if ($i == "interesting:") paths = $(i + 1)
		}
		/^target: / { target = $2 }
		/^outcome: / { findings = $2 == "pass" ? "none" : "1" }
		END { printf "| `%s` | %d | %s | %d | %s |\n", target, execs, time, paths, findings }
	' "$1"
}

table() {
	local log
	say '| target | executions | time | inputs with new paths | failing inputs |'
	say '|---|---:|---:|---:|---|'
	for log in "$1"/*.log; do
		row "$log"
	done
}

jobs=1
logs=
while getopts j:l: option; do
	case $option in
	j) jobs=$OPTARG ;;
	l) logs=$OPTARG ;;
	*) die "usage: $0 [-j N] [-l DIR] [TIME [TARGET...]]" ;;
	esac
done
shift $((OPTIND - 1))
fuzz_time=${1:-10m}
shift $(($# > 0))
workers=$(($(nproc) / jobs))
((workers > 0)) || workers=1

if [[ -z $logs ]]; then
	logs=$(mktemp -d)
	trap 'rm -r "$logs"' EXIT
fi
mkdir -p "$logs"

if (($# > 0)); then
	chosen=("$@")
else
	mapfile -t chosen < <(targets)
fi

heading "Fuzzing ${#chosen[@]} targets, $fuzz_time each, $jobs at a time"
for target in "${chosen[@]}"; do
	while (($(jobs -rp | wc -l) >= jobs)); do
		wait -n
	done
	fuzz "$target" "$logs" &
done
wait

heading "What each target did"
table "$logs"
! grep -qsx 'outcome: fail' "$logs"/*.log || die "some targets found inputs that fail."
