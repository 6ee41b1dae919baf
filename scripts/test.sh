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
. scripts/lib/ykman.sh
. scripts/lib/axe.sh
. scripts/lib/pcscd.sh
. scripts/lib/rooms.sh
. scripts/lib/coverage.sh
. scripts/lib/jobs.sh
. scripts/lib/versions.sh
. scripts/lib/programs.sh
. scripts/lib/servers.sh
. scripts/lib/measures.sh
. scripts/lib/memory.sh

# In the order in which they run: name | description.
readonly PARTS='
debian13|in a bare Debian 13, next to the parts before bench: the demos, judged and stack
lint|gofmt, vet, staticcheck, shellcheck, mandoc
build|the program, with and without cgo, and for Windows
tests|all tests that need no daemon
mutation|each check that keeps a card, key or secret safe removed once: a test must notice
races|the tests of concurrent code, with the race detector
nocgo|the tests of what PC/SC and PKCS#11 are part of, without cgo
windows|the Windows program in Wine, on the PC/SC daemon, next to stack
programs|browsers and other programs log in with cards, next to stack
enrolment|certificates from servers: step-ca, pebble, scepserver, estserver; next to stack
stack|the tests on the PC/SC daemon, with GnuPG, OpenSC, SoftHSM2, OpenSSL and others
bench|APDUs, memory and start-up time compared with other programs, with nothing else running
coverage|how much of internal/ the parts before it run: at least 85 %
demo|the demo of each family
dependencies|checksums of the modules, and known vulnerabilities
package|all packages: built twice, compared, inspected, installed, removed
versions|docs/tested.md and README.md written again: the programs that stack and debian13 ran with
'
# In addition, and not a part of the whole run.
readonly MORE='
quick|lint and tests, for while you work
judged|of the tests that need no daemon, those in which other programs take part
'

# names PARTS prints the names of parts.
names() { sed -n 's/|.*//p' <<<"$1"; }

# about prints the description of a part.
about() { sed -n "s/^$1|//p" <<<"$PARTS$MORE"; }

# part_debian13 only starts it. jobs_end waits for it, in a later part or after the last.
part_debian13() {
	result=started
	((EUID == 0)) || die "only root can run a second Debian." "$OMIT_DEBIAN13"
	need debian # now, because only one apt can run at once
	versions_there=$(mktemp)
	job debian13 second_debian
}

readonly OMIT_DEBIAN13='To omit it: ./scripts/test.sh --without debian13'
versions_there= # the file for the versions of its programs

# second_debian leaves one processor to the parts next to it.
second_debian() {
	local status=0
	scripts/debian13.sh trixie bash -ec "
		$(declare -f demos)
		{ demos; JOBS=1 LEDGER_ROWS=200 scripts/test.sh judged stack; } 3>&-
		. scripts/lib/versions.sh
		versions >&3" 3>"$versions_there" || status=$?
	((status != CANNOT_RUN)) || die "no Debian 13 can be run here, for the reason above." "$OMIT_DEBIAN13"
	return "$status"
}

readonly CANNOT_RUN=125 # the status of debian13.sh if it cannot run the command

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

readonly REMOVES_CHECKS=./test/mutation # takes minutes

# Simulated cards allocate much and keep little: with less garbage collection, the tests take
# a quarter less time. How much memory programs need is judged by bench.
readonly GARBAGE=400

part_tests() {
	local -x GOGC=$GARBAGE
	local others
	others=$(go list ./test/... | grep -v "/${REMOVES_CHECKS##*/}\$")
	go test -count=1 -skip '^TestEveryCheckIsMissed$' "$REMOVES_CHECKS"
	# shellcheck disable=SC2086 # names of packages have no blanks
	covered_test -count=1 -timeout 30m . $others # they run go, which the test cache does not see
	covered_test -timeout 20m ./cmd/... ./internal/...
}

part_mutation() { GOGC=$GARBAGE go test -count=1 -timeout 30m "$REMOVES_CHECKS"; }

part_quick() {
	part_lint
	part_tests
}

readonly OTHERS='"(certtool|certutil|keytool|openssl|p11-kit|p11tool|pk12util|pkcs11-tool|softhsm2-util|ssh-keygen)"|/test/softhsm"'

# part_judged is for another system: tests has run the same.
part_judged() {
	local -x GOGC=$GARBAGE
	local packages
	packages=$(grep -rlE --include='*_test.go' "$OTHERS" ./internal | xargs dirname | sort -u)
	# shellcheck disable=SC2086 # names of packages have no blanks
	go test -count=1 $packages
	go test -count=1 -run "$(grep -lE "$OTHERS" cmd/cardctl/*_test.go | tests_in | all_of)" ./cmd/cardctl
	go test -count=1 -run "^TestScripts\$/$(grep -lwE '^exec .*openssl' cmd/cardctl/testdata/script/*.txtar | xargs basename -s .txtar | all_of)" ./cmd/cardctl
}

part_races() {
	local -x GOGC=$GARBAGE
	go test -race -skip '^TestCardFaults$' ./internal/{agent/...,certstore,output,p11,pcsc,pkcs12,pkcs15,provision,secret,smoke,terminal}
	go test -race -run '^(TestTimeoutAndInterrupt|TestBusySimulatedCard|TestWaitWantsTheCardThatIsNamed|TestPrompts|TestMovingTerminal|TestProvisionSideBySide|TestSignals)$' ./cmd/cardctl
}

readonly OTHER_WITHOUT_CGO='internal/(p11|pcsc)'

# Tests with cards that are simulated in the process, at every command: no code of theirs is
# another one without cgo.
readonly SIMULATED='^Test(CardFaults|CommandLinesRepeatNoSecret|ErasedCardPulled|HostileCard|SecretsAppearNowhere|SilentCard|(JavaCard|LiedTo|Lying|NeverProvisioned|Provision(Again|LiedTo|Pulled|Stopped|Swapped)|Pulled|Replaced|Revealed).*)$'

# part_nocgo leaves out what neither is nor uses a package that is other code without cgo.
part_nocgo() {
	local -x GOGC=$GARBAGE
	local packages
	packages=$(
		CGO_ENABLED=0 go list -test -f '{{if .ForTest}}{{.ForTest}} {{.ImportPath}} {{join .Deps " "}}{{end}}' ./... |
			grep -E " [^ ]*$OTHER_WITHOUT_CGO( |\$)" | cut -d' ' -f1 | sort -u
	)
	# shellcheck disable=SC2086 # names of packages have no blanks
	CGO_ENABLED=0 go test -skip "$SIMULATED" $packages
}

readonly MEASURES=./test/bench # runs alone
readonly WINDOWS=./test/windows # the same on every Debian
readonly PROGRAMS=./test/programs
readonly AT_ONCE=TestProgramsAtOnce # a job of its own
readonly ENROLMENT=./test/enrolment # with servers that are built for it
readonly LONGEST=./test/pkcs15 # begins first
readonly WITH_MORE_READERS=(./test/judges ./test/provision)
readonly LONG=(./test/judges ./test/provision ./test/docs) # begin next

readonly TAGGED='^//go:build.*\<stack\>'

# tests_of prints the names of the tests of a package that have the build tag stack and
# match go test -run NAME. The others need no daemon: the part tests runs them.
tests_of() {
	grep -l "$TAGGED" "$1"/*_test.go | tests_in | grep -E -- "${2%%/*}" || true
}

# tests_in prints the names of the tests in the files that it reads the names of.
tests_in() { xargs sed -n 's/^func \(Test[[:alnum:]_]*\)(.*/\1/p' | grep -vxF TestMain; }

# all_of prints the pattern that matches all names that it reads.
all_of() { printf '^(%s)$' "$(paste -sd '|')"; }

# stack_packages prints the packages with the build tag stack, the long ones first.
stack_packages() {
	{
		printf '%s\n' "${LONG[@]}"
		grep -rl --include='*_test.go' "$TAGGED" . | xargs dirname | sort
	} | awk '!seen[$0]++'
}

rooms= # yes or no, once it is known whether rooms can be made

# look_for_rooms finds out whether tests can run in parallel.
look_for_rooms() {
	[[ -z $rooms ]] || return 0
	rooms=yes
	go mod download # a room has no network
	can_make_rooms && return 0
	say "So the tests do not run in parallel."
	rooms=no
	jobs_at_once=1
}

# on_daemon [--light] [--more-readers] PACKAGE [FLAG...] tests a package on the PC/SC daemon,
# with flags of go test; in a room and in parallel, if rooms can be made.
on_daemon() {
	local more=() light=() name
	if [[ $1 == --light ]]; then
		light=("$1")
		shift
	fi
	if [[ $1 == --more-readers ]]; then
		more=("$1")
		shift
	fi
	[[ " ${WITH_MORE_READERS[*]} " != *" $1 "* ]] || more=(--more-readers)
	[[ $1 != "$WINDOWS" ]] || need windows
	if [[ $1 == "$PROGRAMS" ]]; then
		need programs
		need_axe
	fi
	[[ $1 != "$ENROLMENT" ]] || need_servers
	name=$*
	((${#name} <= 100)) || name=${name::100}...
	if [[ $rooms == yes ]]; then
		job --second-try "${light[@]}" "$name" covered_test -tags stack -count=1 -timeout 20m -exec "'$room' ${more[*]}" "${@:2}" "$1"
	else
		((${#more[@]} == 0)) || daemon_ends # it is started with its readers
		start_pcscd "${more[@]#--}"
		job --second-try "$name" covered_test -tags stack -count=1 -timeout 20m "${@:2}" "$1"
	fi
}

# in_pieces PACKAGE NUMBER tests a package on the PC/SC daemon, in so many jobs.
in_pieces() {
	local piece
	for ((piece = 0; piece < $2; piece++)); do
		on_daemon "$1" -run "$(tests_of "$1" . | grep -vxF "$AT_ONCE" | awk -v n="$2" -v i="$piece" 'NR % n == i' | all_of)"
	done
}

# tell_judges prints what other programs did with PIV cards, and whose work it was.
tell_judges() {
	[[ -s $JUDGED_TABLE ]] || return 0
	heading "Who judged what on PIV cards"
	sort -u "$JUDGED_TABLE" | awk -F'\t' '
		$1 FS $2 != last { printf "%s on %s\n", $1, $2; last = $1 FS $2 }
		{ printf "  %s\n", $3 }'
}

# daemon_ends waits for the tests on the daemon.
daemon_ends() {
	jobs_end
	stop_pcscd
}

part_windows() {
	result=started
	look_for_rooms
	on_daemon "$WINDOWS"
}

pictures= # the directory of pictures of browsers, if some are made

part_programs() {
	result=started
	((EUID == 0)) || die "only root can run Chromium as another user." "To omit it: ./scripts/test.sh --without programs"
	pictures=${CARDCTL_PICTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/pictures}
	mkdir -p "$pictures"
	PROGRAMS_TABLE=$(mktemp)
	export CARDCTL_PICTURES=$pictures PROGRAMS_TABLE
	look_for_rooms
	on_daemon --light "$PROGRAMS" -run "^$AT_ONCE\$" # takes two minutes, and little of the processors
	in_pieces "$PROGRAMS" 2
}

# part_enrolment builds the servers next to windows and programs.
part_enrolment() {
	result=started
	look_for_rooms
	on_daemon "$ENROLMENT"
}

part_stack() {
	local packages package found=
	packages=$(stack_packages)
	need_ykman
	JUDGED_TABLE=$(mktemp)
	export JUDGED_TABLE
	look_for_rooms
	if [[ -z $test_name ]]; then
		in_pieces "$LONGEST" 3
		packages=$(grep -vxF -e "$LONGEST" -e "$MEASURES" -e "$WINDOWS" -e "$PROGRAMS" -e "$ENROLMENT" <<<"$packages")
	fi
	for package in $packages; do
		if [[ -z $test_name ]]; then
			on_daemon "$package" -run "$(tests_of "$package" . | all_of)"
		elif [[ -n $(tests_of "$package" "$test_name") ]]; then
			on_daemon "$package" -v -run "$test_name"
			found=yes
		fi
	done
	daemon_ends
	tell_judges
	[[ -z $test_name || -n $found ]] || die "no test on the PC/SC daemon matches $test_name."
}

part_bench() {
	jobs_end
	need_ykman
	look_for_rooms
	on_daemon "$MEASURES" -skip "$OF_OTHERS"
	daemon_ends
	on_daemon "$MEASURES" -run "$OF_FILES"
	daemon_ends
	on_daemon --more-readers "$MEASURES" -run "$OF_A_PROCESS"
	daemon_ends
}

part_coverage() { check_coverage 85; }

part_demo() {
	jobs_end
	demos
	scripts/demo.sh --program firefox
}

# demos runs the demo of each family. One that fails is run once more, as the tests on the
# daemon are. It is all that a second Debian gets of this script.
demos() {
	local family
	for family in scripts/demo/*.sh; do
		family=$(basename "$family" .sh)
		scripts/demo.sh --family "$family" && continue
		printf '\n== Failed, and runs again: the demo %s\n' "$family"
		scripts/demo.sh --family "$family"
		jobs_by_chance+=("the demo $family")
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
		say "$(between_marks docs/tested.md "$VERSIONS_MARK")"
	fi
	rm "$here"
	if [[ -s ${PROGRAMS_TABLE-} ]]; then
		write_programs "$PROGRAMS_TABLE"
		say "$(between_marks README.md "$PROGRAMS_MARK")"
	fi
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
	printf -v line '%-14s %6s  %s' "$part" "$(minutes $((SECONDS - began)))" "$1"
	say "$line"
	times+=$line$'\n'
	part=
}

at_end() {
	jobs_stop
	stop_pcscd
	forget_coverage
	rm -f "$versions_there" "${JUDGED_TABLE-}" "${PROGRAMS_TABLE-}"
	leave_memory
	[[ -z $part ]] || part_ends failed
	[[ -z $pictures ]] || heading "Pictures of browsers: $pictures"
	((${#jobs_by_chance[@]} == 0)) || heading "Failed once, and passed when run again:$(printf '\n%s' "${jobs_by_chance[@]}")"
	[[ -n $times ]] || return 0
	heading "Times, in minutes"
	printf '%s%-14s %6s\n' "$times" "all" "$(minutes $SECONDS)"
}

usage() { die "$1" "./scripts/test.sh [PART...], ./scripts/test.sh --without PART..., ./scripts/test.sh stack NAME, ./scripts/test.sh --list"; }

is_part() { grep -qxF -- "$1" <<<"$(names "$PARTS$MORE")"; }

if [[ ${1-} == --list ]]; then
	tr '|' '\t' <<<"${PARTS:1}${MORE:1:-1}" | expand -t 15
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
	mapfile -t parts < <(names "$PARTS" | grep -vxF -f <(printf '%s\n' "$@"))
	set -- "${parts[@]}"
fi
chosen=" ${*:-$(names "$PARTS" | xargs)} "

trap at_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
use_memory

if [[ $chosen == *' coverage '* ]]; then
	[[ $chosen == *' tests '* && $chosen == *' stack '* ]] || usage "coverage counts what tests and stack run: name these too."
	count_coverage
fi

heading "Tools"
need build card token test
need_go
say "$(go version)"
for name in $(names "$MORE$PARTS"); do
	[[ $chosen != *" $name "* ]] || run_part "$name"
done
jobs_end
heading "All passed"
