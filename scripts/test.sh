#!/usr/bin/env bash
# Every check and every test: installs what is missing (Debian), lints, builds
# and tests with and without cgo, then the tests on the real PC/SC daemon with
# GnuPG, OpenSC and OpenSSL as judges, and the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh
. scripts/lib/coverage.sh
trap stop_pcscd EXIT

lint() {
	local unformatted
	unformatted=$(gofmt -l .)
	[[ -z $unformatted ]] || die "gofmt would change:" "$unformatted"
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

build() {
	local bin
	bin=$(mktemp -d)
	go build -trimpath -o "$bin/cardctl" ./cmd/cardctl
	CGO_ENABLED=0 go build -trimpath -o "$bin/cardctl-nocgo" ./cmd/cardctl
	"$bin/cardctl" version
	"$bin/cardctl-nocgo" version
	rm -r "$bin"
}

heading "Tools"
need build card token test
need_go
say "$(go version)"

heading "Lint: gofmt, vet, staticcheck, shellcheck, mandoc"
lint

heading "Build, with cgo and without"
build

heading "Tests"
go test -count=1 . # the layers: what it asks go list for, the test cache does not see
covered_test ./...

heading "Tests for races, of what runs beside something else"
go test -race ./internal/{certstore,output,p11,pcsc,pkcs12,pkcs15,secret,smoke,terminal}
go test -race -run '^(TestTimeoutAndInterrupt|TestBusySimulatedCard|TestWaitWantsTheCardThatIsNamed|TestPrompts|TestMovingTerminal|TestSignals)$' ./cmd/cardctl

heading "Tests without cgo"
CGO_ENABLED=0 go test ./...

heading "Tests on the PC/SC daemon, with GnuPG, OpenSC and OpenSSL"
start_pcscd
covered_test -tags stack -count=1 -p 1 ./internal/pcsc/ ./test/...
stop_pcscd

heading "Start-up beside OpenSC, with four readers"
start_pcscd more-readers
BENCH_READERS=4 go test -tags stack -count=1 -run '^TestStartUp$' ./test/bench
stop_pcscd

heading "How much of internal/ the tests run"
check_coverage 85

heading "The demo, twice, and of each family"
scripts/demo.sh
for family in scripts/demo/*.sh; do
	scripts/demo.sh --family "$(basename "$family" .sh)"
done

heading "Dependencies"
scripts/dependencies.sh

scripts/package.sh

heading "All passed"
