#!/usr/bin/env bash
# Every check and every test, or some of them:
#
#   ./scripts/test.sh              all parts, as CI does
#   ./scripts/test.sh --list       what the parts are
#   ./scripts/test.sh PART...      these parts
#   ./scripts/test.sh stack NAME   of the tests on the PC/SC daemon those that go test -run NAME takes
#   ./scripts/test.sh quick        what one runs while working: at most three minutes
#
# Installs what is missing (Debian), and stops what it started. Where it is root, the
# tests on the daemon run side by side, each package in a room of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh
. scripts/lib/coverage.sh
. scripts/lib/jobs.sh

# In the order in which they run: name | what it is.
readonly PARTS='
lint|gofmt, vet, staticcheck, shellcheck, mandoc
build|the program, with cgo and without
tests|all tests that need no daemon
races|the tests of what runs beside something else, with the race detector
nocgo|the tests without cgo
stack|the tests on the PC/SC daemon, with GnuPG, OpenSC, SoftHSM2 and OpenSSL
bench|APDUs, memory and start-up beside others, with nothing else running
coverage|how much of internal/ the parts before it run, 85 % at least
demo|the demo, twice, and of each family
dependencies|sums of the modules, and known vulnerabilities
package|all packages: built twice, compared, looked into, installed, removed
'
# Beside them, and not of the whole.
readonly QUICK='quick|gofmt, vet, and all tests that need no daemon'

# names prints the names of all parts.
names() { sed -n 's/|.*//p' <<<"$PARTS"; }

# about says what a part is.
about() { sed -n "s/^$1|//p" <<<"$PARTS$QUICK"; }

formatted() {
	local unformatted
	unformatted=$(gofmt -l .)
	[[ -z $unformatted ]] || die "gofmt would change:" "$unformatted"
}

part_lint() {
	formatted
	go vet ./...
	go vet -tags stack ./...
	CGO_ENABLED=0 go vet ./...
	go tool staticcheck ./...
	go tool staticcheck -tags stack ./test/... ./internal/pcsc/...
	go vet -tags packages ./test/packages/
	go tool staticcheck -tags packages ./test/packages/
	shellcheck -x scripts/*.sh scripts/*/*.sh test/*/testdata/*.sh .ci/run
	mandoc -T lint -W all man/*
}

part_build() {
	local bin
	bin=$(mktemp -d)
	go build -trimpath -o "$bin/cardctl" ./cmd/cardctl
	CGO_ENABLED=0 go build -trimpath -o "$bin/cardctl-nocgo" ./cmd/cardctl
	"$bin/cardctl" version
	"$bin/cardctl-nocgo" version
	rm -r "$bin"
}

part_tests() {
	go test -count=1 . # the layers: what it asks go list for, the test cache does not see
	covered_test ./...
}

part_quick() {
	formatted
	go vet ./...
	go vet -tags stack ./...
	part_tests
}

part_races() {
	go test -race ./internal/{certstore,output,p11,pcsc,pkcs12,pkcs15,secret,smoke,terminal}
	go test -race -run '^(TestTimeoutAndInterrupt|TestBusySimulatedCard|TestWaitWantsTheCardThatIsNamed|TestPrompts|TestMovingTerminal|TestSignals)$' ./cmd/cardctl
}

part_nocgo() { CGO_ENABLED=0 go test ./...; }

# What measures has nothing beside it. What takes longest starts first.
readonly MEASURES=./test/bench
readonly LONGEST='./test/pkcs15 ./test/judges'

# stack_packages are those with tests of the build tag stack; with a NAME those
# of them with a test that go test -run NAME takes.
stack_packages() {
	local package
	grep -rl --include='*_test.go' '^//go:build.*\<stack\>' . | xargs dirname | sort -u | while read -r package; do
		if sed -n 's/^func \(Test[[:alnum:]_]*\)(.*/\1/p' "$package"/*_test.go | grep -qE -- "${1%%/*}"; then
			printf '%s\n' "$package"
		fi
	done
}

room=            # the program that makes rooms, where they can be made
rooms_wanted=yes # nobody looked yet whether they can

# look_for_rooms says why the tests are not run side by side, where they are not.
look_for_rooms() {
	local trouble
	[[ -n $rooms_wanted ]] || return 0
	rooms_wanted=
	if ((EUID != 0)); then
		say "One after the other: only root can give each package a PC/SC daemon of its own."
	elif ! trouble=$(scripts/lib/room.sh true 2>&1); then
		say "One after the other, for this machine lets nobody make a room with a PC/SC daemon of its own:" "$trouble"
	else
		room=$PWD/scripts/lib/room.sh
	fi
}

# on_daemon [--more-readers] PACKAGES [FLAG...] tests packages on the PC/SC daemon,
# with flags of go test.
on_daemon() {
	local more=() packages package
	if [[ $1 == --more-readers ]]; then
		more=("$1")
		shift
	fi
	mapfile -t packages <<<"$1"
	shift
	set -- -tags stack -count=1 -timeout 20m "$@"
	look_for_rooms
	if [[ -n $room ]]; then
		for package in "${packages[@]}"; do
			job "$package" covered_test "$@" -exec "'$room' ${more[*]}" "$package"
		done
		jobs_end
	else
		start_pcscd "${more[@]#--}"
		covered_test "$@" -p 1 "${packages[@]}"
		stop_pcscd
	fi
}

part_stack() {
	local packages
	if [[ -n $test_name ]]; then
		packages=$(stack_packages "$test_name")
		[[ -n $packages ]] || die "no test on the PC/SC daemon is called $test_name."
		on_daemon "$packages" -v -run "$test_name"
	else
		on_daemon "$({ tr ' ' '\n' <<<"$LONGEST"; stack_packages; } | grep -vxF "$MEASURES" | awk '!seen[$0]++')"
	fi
}

part_bench() {
	on_daemon "$MEASURES"
	BENCH_READERS=4 on_daemon --more-readers "$MEASURES" -run '^TestStartUp$'
}

part_coverage() { check_coverage 85; }

part_demo() {
	local family
	scripts/demo.sh
	for family in scripts/demo/*.sh; do
		scripts/demo.sh --family "$(basename "$family" .sh)"
	done
}

part_dependencies() { scripts/dependencies.sh; }

part_package() { scripts/package.sh; }

times=  # a line for each part that ended
part=   # the one that runs
began=0 # when, in seconds

run_part() {
	part=$1
	began=$SECONDS
	heading "$part: $(about "$part")"
	"part_$part"
	part_ends passed
}

part_ends() {
	local line
	printf -v line '%-14s %3d:%02d  %s' "$part" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "$1"
	say "$line"
	times+=$line$'\n'
	part=
}

at_end() {
	jobs_stop
	stop_pcscd
	forget_coverage
	[[ -z $part ]] || part_ends failed
	[[ -n $times ]] || return 0
	heading "Times, in minutes"
	printf '%s%-14s %3d:%02d\n' "$times" "all" $((SECONDS / 60)) $((SECONDS % 60))
}

usage() { die "$1" "./scripts/test.sh [PART...], ./scripts/test.sh stack NAME, ./scripts/test.sh --list"; }

is_part() { grep -qxF -- "$1" <<<"$(names)"$'\n'quick; }

if [[ ${1-} == --list ]]; then
	tr '|' '\t' <<<"${PARTS#?}$QUICK" | expand -t 15
	exit
fi
test_name=
if [[ $# -eq 2 && $1 == stack ]] && ! is_part "$2"; then
	test_name=$2
	set -- stack
fi
for name in "$@"; do
	is_part "$name" || usage "there is no part $name."
done
chosen=" ${*:-$(names | xargs)} "

trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ $chosen == *' coverage '* ]]; then
	[[ $chosen == *' tests '* && $chosen == *' stack '* ]] || usage "coverage is of what tests and stack run: name these too."
	count_coverage
fi

heading "Tools"
need build card token test
need_go
say "$(go version)"
for name in $(names) quick; do
	[[ $chosen != *" $name "* ]] || run_part "$name"
done
heading "All passed"
