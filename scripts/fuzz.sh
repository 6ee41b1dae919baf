#!/usr/bin/env bash
# Runs every fuzz target for the given time (10m unless told), one after the
# other: ./scripts/fuzz.sh 30s
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh

fuzz_time=${1:-10m}

# go test fuzzes one target of one package at a time. What it finds interesting
# it makes shorter, for a minute each unless told: a ZIP archive does not get any
# shorter, and nothing else would be tried meanwhile.
fuzz() {
	local package target
	while read -r package target; do
		say "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzz_time" -fuzzminimizetime 1s "$package" </dev/null
	done < <(fuzz_targets)
}

# fuzz_targets prints a package and a target in each line.
fuzz_targets() {
	local dir
	grep -rl --include='*_test.go' '^func Fuzz' internal cmd | sort | while read -r file; do
		dir=./$(dirname "$file")
		sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$dir \1|p" "$file"
	done
}

heading "Fuzzing, $fuzz_time a target"
fuzz
