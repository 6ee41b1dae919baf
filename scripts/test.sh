#!/usr/bin/env bash
# Every check and every test, or some of them:
#
#   ./scripts/test.sh              all parts, as CI does
#   ./scripts/test.sh --list       list the parts
#   ./scripts/test.sh PART...      only these parts
#   ./scripts/test.sh --without PART...
#                                  all parts except these
#   ./scripts/test.sh stack NAME   only the tests on the PC/SC daemon that match go test -run NAME
#   ./scripts/test.sh quick        lint and tests, for while you work: under 3 minutes
#
# It installs missing programs (on Debian) and stops every program that it started. If
# it runs as root, the tests on the daemon run in parallel, each package in a room of
# its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh
. scripts/lib/rooms.sh
. scripts/lib/coverage.sh
. scripts/lib/jobs.sh
. scripts/lib/versions.sh

# In the order in which they run: name | description.
readonly PARTS='
debian13|in a bare Debian 13, next to the parts before bench: the demos, and the tests on the PC/SC daemon
lint|gofmt, vet, staticcheck, shellcheck, mandoc
build|the program, with and without cgo, and for Windows
tests|all tests that need no daemon
mutation|each check that keeps a card, key or secret safe removed once: a test must notice
races|the tests of concurrent code, with the race detector
nocgo|the tests without cgo
stack|the tests on the PC/SC daemon, with GnuPG, OpenSC, SoftHSM2, OpenSSL, and the Windows program in Wine
bench|APDUs, memory and start-up time compared with other programs, with nothing else running
coverage|how much of internal/ the parts before it run: at least 85 %
demo|the demo, and the demo of each family
dependencies|checksums of the modules, and known vulnerabilities
package|all packages: built twice, compared, inspected, installed, removed
versions|docs/tested.md and README.md written again: the programs that stack and debian13 ran with
'
# In addition, and not a part of the whole run.
readonly QUICK='quick|lint and tests, for while you work'

# names prints the names of all parts.
names() { sed -n 's/|.*//p' <<<"$PARTS"; }

# about prints the description of a part.
about() { sed -n "s/^$1|//p" <<<"$PARTS$QUICK"; }

# part_debian13 only starts it. jobs_end waits for it, in a later part or after the last.
part_debian13() {
	result=started
	((EUID == 0)) || die "only root can run a second Debian." "$OMIT_DEBIAN13"
	versions_there=$(mktemp)
	job debian13 second_debian
}

readonly OMIT_DEBIAN13='To omit it: ./scripts/test.sh --without debian13'
versions_there= # the file for the versions of its programs

second_debian() {
	scripts/debian13.sh trixie true || die "no Debian 13 can be run here, for the reason above." "$OMIT_DEBIAN13"
	# shellcheck disable=SC2016 # expanded there
	scripts/debian13.sh trixie bash -ec '
		{ scripts/demo.sh; scripts/test.sh stack demo; } 3>&-
		. scripts/lib/versions.sh
		versions >&3' 3>"$versions_there"
}

formatted() {
	local unformatted
	unformatted=$(gofmt -l .)
	[[ -z $unformatted ]] || die "these files are not formatted; run gofmt -w on them:" "$unformatted"
}

part_lint() {
	formatted
	go vet ./...
	go vet -tags stack,packages ./...
	CGO_ENABLED=0 go vet ./...
	go tool staticcheck ./...
	go tool staticcheck -tags stack,packages ./test/... ./internal/pcsc/...
	shellcheck -x scripts/*.sh scripts/*/*.sh test/*/testdata/*.sh .ci/run
	mandoc -T lint -W all man/*
}

part_build() {
	local bin
	bin=$(mktemp -d)
	go build -trimpath -o "$bin/cardctl" ./cmd/cardctl
	CGO_ENABLED=0 go build -trimpath -o "$bin/cardctl-nocgo" ./cmd/cardctl
	GOOS=windows CGO_ENABLED=0 go build -trimpath -o "$bin/cardctl.exe" ./cmd/cardctl
	"$bin/cardctl" version
	"$bin/cardctl-nocgo" version
	rm -r "$bin"
}

readonly REMOVES_CHECKS=./test/mutation # compiles each time

part_tests() {
	local others
	others=$(go list ./test/... | grep -v "/${REMOVES_CHECKS##*/}\$")
	# shellcheck disable=SC2086 # names of packages have no blanks
	covered_test -count=1 -timeout 30m . $others # they run go, which the test cache does not see
	covered_test ./cmd/... ./internal/...
}

part_mutation() { go test -count=1 -timeout 30m "$REMOVES_CHECKS"; }

part_quick() {
	part_lint
	part_tests
}

part_races() {
	go test -race ./internal/{certstore,output,p11,pcsc,pkcs12,pkcs15,secret,smoke,terminal}
	go test -race -run '^(TestTimeoutAndInterrupt|TestBusySimulatedCard|TestWaitWantsTheCardThatIsNamed|TestPrompts|TestMovingTerminal|TestSignals)$' ./cmd/cardctl
}

part_nocgo() { CGO_ENABLED=0 go test ./...; }

readonly MEASURES=./test/bench # runs alone
readonly LONGEST=./test/pkcs15 # runs in pieces, which begin first
readonly PIECES=3
readonly LONG=(./test/judges ./test/provision ./test/docs) # begin next

# tests_of prints the names of the tests of a package that match go test -run NAME.
tests_of() {
	sed -n 's/^func \(Test[[:alnum:]_]*\)(.*/\1/p' "$1"/*_test.go | grep -vxF TestMain | grep -E -- "${2%%/*}" || true
}

# stack_packages prints the packages with the build tag stack, the long ones first.
stack_packages() {
	{
		printf '%s\n' "${LONG[@]}"
		grep -rl --include='*_test.go' '^//go:build.*\<stack\>' . | xargs dirname | sort
	} | awk '!seen[$0]++'
}

rooms= # yes or no, once it is known whether rooms can be made

# look_for_rooms finds out whether tests can run in parallel.
look_for_rooms() {
	[[ -z $rooms ]] || return 0
	rooms=yes
	can_make_rooms && return 0
	say "So the tests do not run in parallel."
	rooms=no
	jobs_at_once=1
}

# on_daemon [--more-readers] PACKAGE [FLAG...] tests a package on the PC/SC daemon, with
# flags of go test; in a room and in parallel, if rooms can be made.
on_daemon() {
	local more=()
	if [[ $1 == --more-readers ]]; then
		more=("$1")
		shift
	fi
	if [[ $rooms == yes ]]; then
		job "$*" covered_test -tags stack -count=1 -timeout 20m -exec "'$room' ${more[*]}" "${@:2}" "$1"
	else
		start_pcscd "${more[@]#--}"
		job "$*" covered_test -tags stack -count=1 -timeout 20m "${@:2}" "$1"
	fi
}

# daemon_ends waits for the tests on the daemon.
daemon_ends() {
	jobs_end
	stop_pcscd
}

part_stack() {
	local packages package piece found=
	packages=$(stack_packages)
	look_for_rooms
	if [[ -z $test_name ]]; then
		for ((piece = 0; piece < PIECES; piece++)); do
			on_daemon "$LONGEST" -run "^($(tests_of "$LONGEST" . | awk -v n="$PIECES" -v i="$piece" 'NR % n == i' | paste -sd '|'))\$"
		done
		packages=$(grep -vxF -e "$LONGEST" -e "$MEASURES" <<<"$packages")
	fi
	for package in $packages; do
		if [[ -z $test_name ]]; then
			on_daemon "$package"
		elif [[ -n $(tests_of "$package" "$test_name") ]]; then
			on_daemon "$package" -v -run "$test_name"
			found=yes
		fi
	done
	daemon_ends
	[[ -z $test_name || -n $found ]] || die "no test on the PC/SC daemon matches $test_name."
}

# What a process takes is measured by a small one: a child counts the memory of its parent.
readonly OF_A_PROCESS='^(TestStartUp|TestMemory)$'

part_bench() {
	jobs_end
	look_for_rooms
	on_daemon "$MEASURES" -skip "$OF_A_PROCESS"
	daemon_ends
	on_daemon --more-readers "$MEASURES" -run "$OF_A_PROCESS"
	daemon_ends
}

part_coverage() { check_coverage 85; }

part_demo() {
	local family
	jobs_end
	scripts/demo.sh
	for family in scripts/demo/*.sh; do
		scripts/demo.sh --family "$(basename "$family" .sh)"
	done
}

part_dependencies() { scripts/dependencies.sh; }

part_package() { scripts/package.sh; }

part_versions() {
	local here
	jobs_end
	here=$(mktemp)
	versions >"$here"
	if [[ $chosen != *' stack '* || ! -s $versions_there ]] || ! grep -q '^system.Debian' "$here"; then
		say "Not written: this needs stack on a Debian, and debian13."
	else
		write_versions "$here" "$versions_there"
		say "$(between_marks docs/tested.md)"
	fi
	rm "$here"
}

result= # of the part that runs: passed, or started
times=  # a line for each part that has ended
part=   # the part that runs
began=0 # when it began, in seconds

run_part() {
	part=$1
	began=$SECONDS
	result=passed
	heading "$part: $(about "$part")"
	"part_$part"
	part_ends "$result"
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
	rm -f "$versions_there"
	[[ -z $part ]] || part_ends failed
	[[ -n $times ]] || return 0
	heading "Times, in minutes"
	printf '%s%-14s %3d:%02d\n' "$times" "all" $((SECONDS / 60)) $((SECONDS % 60))
}

usage() { die "$1" "./scripts/test.sh [PART...], ./scripts/test.sh --without PART..., ./scripts/test.sh stack NAME, ./scripts/test.sh --list"; }

is_part() { grep -qxF -- "$1" <<<"$(names)"$'\n'quick; }

if [[ ${1-} == --list ]]; then
	tr '|' '\t' <<<"${PARTS#?}$QUICK" | expand -t 15
	exit
fi
without=
if [[ ${1-} == --without ]]; then
	shift
	(($# > 0)) || usage "--without which part?"
	without=yes
fi
test_name=
if [[ -z $without && $# -eq 2 && $1 == stack ]] && ! is_part "$2"; then
	test_name=$2
	set -- stack
fi
for name in "$@"; do
	is_part "$name" || usage "unknown part: $name."
done
if [[ -n $without ]]; then
	mapfile -t parts < <(names | grep -vxF -f <(printf '%s\n' "$@"))
	set -- "${parts[@]}"
fi
# debian13 and versions are not parts of the whole run yet: it has to be green first.
chosen=" ${*:-$(names | grep -vx -e debian13 -e versions | xargs)} "

trap at_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ $chosen == *' coverage '* ]]; then
	[[ $chosen == *' tests '* && $chosen == *' stack '* ]] || usage "coverage counts what tests and stack run: name these too."
	count_coverage
fi

heading "Tools"
need build card token test windows
need_go
say "$(go version)"
for name in $(names) quick; do
	[[ $chosen != *" $name "* ]] || run_part "$name"
done
jobs_end
heading "All passed"
