# shellcheck shell=bash
# Measures how much of the code the tests run, over several runs of go test. Needs
# say.sh.

coverage_dir= # the data of the runs, if coverage is counted

# count_coverage counts the tests that run from now on.
count_coverage() { coverage_dir=$(mktemp -d); }

# covered_test runs go test with the arguments. If coverage is counted, it counts
# the statements that are run.
covered_test() {
	if [[ -z $coverage_dir ]]; then
		go test "$@"
		return
	fi
	local packages=./internal/...
	[[ " $* " != *' ./cmd/... '* ]] || packages+=,./cmd/cardctl
	go test -coverpkg="$packages" "$@" -args -test.gocoverdir="$coverage_dir" | sed -u 's/[[:space:]]*coverage: .*//'
}

# check_coverage prints how much of each package of internal/ was run. It fails if the
# total is below the percentage, or if advice was given in no test.
check_coverage() {
	local least=$1 profile total
	profile=$coverage_dir/all
	go tool covdata textfmt -i="$coverage_dir" -o="$profile"
	check_advice "$profile"
	sed -i '/\/cmd\/cardctl\//d' "$profile"
	awk -F'[ /:]' '
		NR > 1 {
			statements = $(NF - 1); runs = $NF
			package = $0; sub("/[^/]*$", "", package); sub("^.*/internal/", "", package)
			all[package] += statements; sum += statements
			if (runs > 0) { run[package] += statements; done += statements }
		}
		END {
			for (package in all) printf "%5.1f%%  %s\n", 100 * run[package] / all[package], package | "sort -k2"
			close("sort -k2")
			printf "%5.1f%%  of %d statements\n", 100 * done / sum, sum
		}
	' "$profile"
	total=$(go tool cover -func="$profile" | awk 'END { sub("%", "", $NF); print $NF }')
	awk -v total="$total" -v least="$least" 'BEGIN { exit total < least }' ||
		die "the tests run $total% of the statements in internal/, but $least% are required."
}

# check_advice fails if there is advice in the code that no test made cardctl give, and
# prints it. Files of other systems are not looked at.
check_advice() {
	local profile=$1 files missed
	mapfile -d '' -t files < <(find cmd internal -name '*.go' ! -name '*_test.go' ! -path 'internal/advice/*' -print0 | sort -z)
	missed=$(
		awk -v profile="$profile" '
			BEGIN {
				while ((getline line <profile) > 0) {
					sub("^github.com/cardctl/cardctl/", "", line)
					split(line, part, /[:., ]/) # path, go, line and column of both ends, statements, runs
					path = part[1] ".go"
					n = ++count[path]
					from[path, n] = part[3] * 10000 + part[4]
					to[path, n] = part[5] * 10000 + part[6]
					runs[path, n] = part[8]
				}
			}
			count[FILENAME] {
				rest = $0; column = 0
				while (match(rest, /advice\.(Do|Repeat|Run|Say)\(/)) {
					place = FNR * 10000 + column + RSTART
					given = 0
					for (i = 1; i <= count[FILENAME]; i++)
						if (place >= from[FILENAME, i] && place <= to[FILENAME, i])
							given += runs[FILENAME, i]
					if (!given)
						print FILENAME ":" FNR ": " $0
					column += RSTART + RLENGTH - 1
					rest = substr(rest, RSTART + RLENGTH)
				}
			}
		' "${files[@]}"
	)
	[[ -z $missed ]] || die "No test makes cardctl give this advice. Test it, or delete it:
$missed"
}

# forget_coverage removes what was counted.
forget_coverage() {
	[[ -z $coverage_dir ]] || rm -rf "$coverage_dir"
	coverage_dir=
}
