#!/usr/bin/env bash
# Builds all packages of the last commit as for a release, twice in different places,
# and tests them: their contents are right, both builds are identical, the programs
# start, and the .deb can be installed, used and removed. The packages stay in dist/.
# Needs Debian on amd64, and root for the .deb.
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

# snapshot_elsewhere builds a snapshot in a different environment: place, permissions
# of new files, time zone, language, and cache of compiled packages.
snapshot_elsewhere() {
	(
		umask 077
		export TZ=Pacific/Auckland LC_ALL=C.UTF-8 GOCACHE=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/go-build-elsewhere
		snapshot "$1"
	)
}

heading "Tools for packages"
[[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
	die "packages can be built only on Debian for amd64: goreleaser.yaml names its compilers for arm64 and Windows."
need build card package windows
need_go
goreleaser=$(go_tool goreleaser)
"$goreleaser" check --quiet

heading "Packages of $(git log -1 --format='%h, %s')"
git diff --quiet HEAD || say "Uncommitted changes are not included."
snapshot "$work/one"
snapshot_elsewhere "$work/another/place/and/a/longer/one"
rm -rf dist
cp -r "$work/one/dist" dist

heading "Contents of the packages, and both builds compared"
CARDCTL_DIST=$PWD/dist CARDCTL_DIST_AGAIN=$work/another/place/and/a/longer/one/dist \
	go test -tags packages -count=1 ./test/packages/

heading "The .deb: installed, used, removed"
scripts/package/try-deb.sh dist/cardctl_*_amd64.deb
