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
