#!/usr/bin/env bash
# Builds all packages of the last commit as a release would, twice in different
# places, and tests them: what is in them, that both are the same bytes, that the
# programs start, and that the .deb can be installed, used and removed. Leaves
# them in dist/. Wants root for the .deb, and Debian on amd64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# snapshot builds the last commit in a new clone at DIR.
snapshot() {
	git clone --quiet . "$1"
	(cd "$1" && "$goreleaser" release --snapshot --clean >"$1.log" 2>&1) ||
		die "goreleaser release --snapshot failed:" "$(tail -n 40 "$1.log")"
}

# snapshot_elsewhere is a snapshot of a builder who has everything different: the
# place, the permissions of new files, the time zone, the language, and a cache
# of compiled packages that the first does not use.
snapshot_elsewhere() {
	(
		umask 077
		export TZ=Pacific/Auckland LC_ALL=C.UTF-8 GOCACHE=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/go-build-elsewhere
		snapshot "$1"
	)
}

heading "Tools for packages"
[[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
	die "packages are built on Debian for amd64: its compilers for arm64 and Windows are what goreleaser.yaml names."
need build card package
need_go
goreleaser=$(go_tool goreleaser)
"$goreleaser" check --quiet

heading "Packages of $(git log -1 --format='%h, %s')"
git diff --quiet HEAD || say "What is not committed is not in them."
snapshot "$work/one"
snapshot_elsewhere "$work/another/place/and/a/longer/one"
rm -rf dist
cp -r "$work/one/dist" dist

heading "What is in the packages, and that they are the same each time"
CARDCTL_DIST=$PWD/dist CARDCTL_DIST_AGAIN=$work/another/place/and/a/longer/one/dist \
	go test -tags packages -count=1 ./test/packages/

heading "The .deb: installed, used, removed"
scripts/package/try-deb.sh dist/cardctl_*_amd64.deb
