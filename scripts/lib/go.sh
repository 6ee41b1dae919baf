# shellcheck shell=bash
# Finds a Go that can build this module. Needs say.sh and packages.sh.

# need_go finds a Go that is new enough for go.mod. An older Go, from 1.21 on, fetches
# the right one itself through the module proxy, if it may.
need_go() {
	local wanted
	wanted=$(sed -n 's/^go //p' go.mod)
	PATH=$PATH:/usr/local/go/bin
	have go || install_go "$wanted"
	go list -m >/dev/null 2>&1 && return 0
	say "$(GOTOOLCHAIN=local go env GOVERSION) is older than Go $wanted. It fetches that version now."
	export GOTOOLCHAIN=auto
	go list -m >/dev/null || die "this Go cannot fetch Go $wanted." \
		"Install Go $wanted or newer from https://go.dev/dl/, then run this script again."
}

# install_go installs Debian's Go, if it is new enough to fetch a newer one.
install_go() {
	local release source
	if have apt-get; then
		apt_get update
		release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
		for source in "$release" "$release-backports"; do
			fetches_toolchains "$source" || continue
			say "Installing golang-go of $source"
			apt_get install -y --no-install-recommends -t "$source" golang-go
			return 0
		done
	fi
	die "Go is not installed here, and no package of it is new enough." \
		"Install Go $1 or newer from https://go.dev/dl/ (any from 1.21 on fetches it), then run this script again."
}

# fetches_toolchains reports whether golang-go of this apt source is 1.21 or newer.
fetches_toolchains() {
	local version
	version=$(apt-cache madison golang-go | awk -F'|' -v at=" $1/" 'index($3, at) { gsub(/ /, "", $2); print $2; exit }')
	[[ -n $version ]] && dpkg --compare-versions "$version" ge 2:1.21
}

# go_tool prints the path of a Go program, at the version that is known to work here,
# and installs it into the user's cache if it is missing. It is not a tool in go.mod,
# because its modules do not belong to cardctl.
go_tool() {
	local module dir
	case $1 in
	goreleaser) module=github.com/goreleaser/goreleaser/v2@v2.16.0 ;;
	govulncheck) module=golang.org/x/vuln/cmd/govulncheck@v1.1.4 ;;
	esac
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/tools/${module##*@}
	if [[ ! -x $dir/$1 ]]; then
		say "Installing $module. The first time, this takes some minutes" >&2
		env -u GOOS -u GOARCH GOFLAGS= GOBIN="$dir" go install "$module" >&2
	fi
	printf '%s\n' "$dir/$1"
}
