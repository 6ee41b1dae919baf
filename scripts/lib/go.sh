# shellcheck shell=bash
# A Go that can build this module. Needs say.sh and packages.sh.

# need_go finds a Go that is new enough for go.mod. From 1.21 on, an older Go
# fetches the right one itself, through the module proxy, where it may.
need_go() {
	local wanted
	wanted=$(sed -n 's/^go //p' go.mod)
	PATH=$PATH:/usr/local/go/bin
	have go || install_go "$wanted"
	go list -m >/dev/null 2>&1 && return 0
	say "$(GOTOOLCHAIN=local go env GOVERSION) is not Go $wanted; it shall fetch that"
	export GOTOOLCHAIN=auto
	go list -m >/dev/null || die "this Go cannot become Go $wanted." \
		"Install Go $wanted or newer from https://go.dev/dl/, then run this script again."
}

# install_go takes Debian's Go where that is new enough to fetch a newer one.
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
	die "there is no Go on this machine, and no package of one that is new enough." \
		"Install Go $1 or newer from https://go.dev/dl/ (any from 1.21 on fetches it), then run this script again."
}

# fetches_toolchains says whether golang-go of this apt source is 1.21 or newer.
fetches_toolchains() {
	local version
	version=$(apt-cache madison golang-go | awk -F'|' -v at=" $1/" 'index($3, at) { gsub(/ /, "", $2); print $2; exit }')
	[[ -n $version ]] && dpkg --compare-versions "$version" ge 2:1.21
}

# go_tool prints where a program made with Go is, at the version that is known to
# work here; it installs it into the user's cache if it is not there. It is not a
# tool of go.mod, whose modules are those of this program.
go_tool() {
	local module dir
	case $1 in
	goreleaser) module=github.com/goreleaser/goreleaser/v2@v2.16.0 ;;
	govulncheck) module=golang.org/x/vuln/cmd/govulncheck@v1.1.4 ;;
	esac
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/tools/${module##*@}
	if [[ ! -x $dir/$1 ]]; then
		say "Installing $module, which takes some minutes the first time" >&2
		env -u GOOS -u GOARCH GOFLAGS= GOBIN="$dir" go install "$module" >&2
	fi
	printf '%s\n' "$dir/$1"
}
