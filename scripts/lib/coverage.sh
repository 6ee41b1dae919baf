# shellcheck shell=bash
# Measures how much of the code the tests run, over several runs of go test. Needs
# say.sh.

coverage_dir= # the data of the runs, if coverage is counted

# count_coverage counts the tests that run from now on.
count_coverage() { coverage_dir=$(mktemp -d); }

# covered_test runs go test with the arguments. If coverage is counted, it counts the
# statements of internal/ that run.
covered_test() {
	if [[ -z $coverage_dir ]]; then
		go test "$@"
		return
	fi
	go test -coverpkg=./internal/... "$@" -args -test.gocoverdir="$coverage_dir" | sed -u 's/[[:space:]]*coverage: .*//'
}

# check_coverage prints how much of each package was run, and fails if the total is
# below the percentage.
check_coverage() {
	local least=$1 profile total
	profile=$(mktemp)
	go tool covdata textfmt -i="$coverage_dir" -o="$profile"
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
	rm "$profile"
	awk -v total="$total" -v least="$least" 'BEGIN { exit total < least }' ||
		die "the tests run $total% of the statements in internal/, but $least% are required."
}

# forget_coverage deletes the data.
forget_coverage() {
	[[ -z $coverage_dir ]] || rm -rf "$coverage_dir"
	coverage_dir=
}
