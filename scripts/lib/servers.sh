# shellcheck shell=bash
# Provides the servers that certificates are got from in the tests. Needs say.sh and go.sh.

# The modules whose tools they are: go get -tool adds one. The server of EST needs an older
# library for TPMs than step-ca.
readonly SERVERS=(test/servers test/servers/est)

# need_servers puts the servers on the PATH, at the versions in go.mod of their module, and
# builds them into the user's cache if they are missing.
need_servers() {
	local sum dir lock
	sum=$({ go env GOVERSION && cat "${SERVERS[@]/%//go.mod}" "${SERVERS[@]/%//go.sum}"; } | sha256sum)
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/tools/servers-${sum:0:16}
	if [[ ! -e $dir/complete ]]; then
		mkdir -p "${dir%/*}"
		exec {lock}<"${dir%/*}"
		flock "$lock"
		[[ -e $dir/complete ]] || build_servers "$dir"
		exec {lock}<&-
	fi
	PATH=$dir:$PATH
}

# build_servers DIR builds all of them, for every machine of this kind.
build_servers() {
	local log module began=$SECONDS
	say "Building $(sed -n 's,^\(tool\|\t\).*/\([^/ ]*\)$,\2,p' "${SERVERS[@]/%//go.mod}" | xargs) from the Go module proxy. The first time, this takes some minutes"
	rm -rf "$1"
	mkdir -p "$1"
	log=$(mktemp)
	for module in "${SERVERS[@]}"; do
		CGO_ENABLED=0 GOFLAGS='' nice go -C "$module" build -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o "$1" tool >"$log" 2>&1 ||
			die "the servers could not be built:" "$(tail -n 15 "$log")"
	done
	rm -f "$log"
	touch "$1/complete"
	say "Built them in $(minutes $((SECONDS - began))): $(du -sh "$1" | cut -f1)"
}
