#!/usr/bin/env bash
# Runs the fuzz targets, each for the given time (default 10m), and prints a table
# of the results:
#
#   ./scripts/fuzz.sh [-j N] [-l DIR] [TIME [TARGET...]]
#
# -j N   run N targets at a time (default 1), each on its share of the processors
# -l DIR keep a log of each target in DIR; the table is made from all logs there, so
#        you can run one target again for the same table
# TARGET run only these targets, such as internal/csr.FuzzParseName
#
# Fails if a target found an input that fails. That input is then in testdata/fuzz of
# the package, and go test runs it from now on.
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

# fuzz runs one target. By default go test tries for a minute to shorten each
# interesting input: a ZIP archive does not get shorter, and nothing else would be
# tried meanwhile.
fuzz() {
	local target=$1 log=$2/${1//\//_}.log outcome=pass
	go test -run '^$' -fuzz "^${target##*.}\$" -fuzztime "$fuzz_time" -fuzzminimizetime 1s -parallel "$workers" \
		"./${target%.*}" </dev/null >"$log" 2>&1 || outcome=fail
	# go test reports the input that it was trying when the time ended.
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		outcome=pass
	fi
	printf 'target: %s\noutcome: %s\n' "$target" "$outcome" >>"$log"
	say "$outcome $target"
	if [[ $outcome == fail ]]; then
		grep -v '^fuzz: elapsed' "$log"
	fi
}

# row prints a line of the table: the last progress that the fuzzer reported, and
# whether it stopped at a failing input.
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

heading "Results"
table "$logs"
! grep -qsx 'outcome: fail' "$logs"/*.log || die "some targets found failing inputs."
