# shellcheck shell=bash
# Trees of other Debian suites, to run programs in. Needs root, say.sh, packages.sh and
# go.sh.

readonly TREES=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/debian
readonly TREE_DAYS=7 # then the tree is made again

tree=     # the copy that is used
packages= # the packages that were downloaded for it

# take_tree SUITE copies the tree of the suite, and this checkout into it.
take_tree() {
	local suite=$1 trees_lock
	packages=$TREES/$suite.packages
	mkdir -p "$TREES" "$packages" "$TREES"/{go-build,go-mod,tools}
	exec {trees_lock}<"$TREES"
	flock "$trees_lock"
	remove_left_trees
	have_tree "$suite"
	tree=$(mktemp -d "$TREES/run.XXXXXX")
	exec {tree_lock}<"$tree" # what runs in it holds this
	flock "$tree_lock"
	exec {trees_lock}<&-

	cp -a "$TREES/$suite/." "$tree"
	find "$packages" -name '*.deb' -exec cp -l -t "$tree/var/cache/apt/archives" {} +
	mkdir -p "$tree"/{usr/local/go,root/.cache/go-build,root/.cache/cardctl/tools,root/go/pkg/mod,mnt/modules,root/cardctl}
	tar --exclude=./.git --exclude=./dist -cf - . | tar -xf - -C "$tree/root/cardctl"
	cp /etc/hosts /etc/resolv.conf "$tree/etc"
	[[ ! -f /etc/pip.conf ]] || cp /etc/pip.conf "$tree/etc"
	echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/copy" # it need not outlive a loss of power
}

# leave_tree removes the copy, and keeps the packages.
leave_tree() {
	find "$tree/var/cache/apt/archives" -maxdepth 1 -name '*.deb' -links 1 -exec ln -f -t "$packages" {} +
	rm -rf --one-file-system "$tree"
}

# remove_left_trees removes the copies of runs that were killed.
remove_left_trees() {
	local left
	for left in "$TREES"/run.* "$TREES"/new.*; do
		[[ ! -d $left ]] || flock --nonblock "$left" rm -rf --one-file-system "$left" || true
	done
}

# have_tree SUITE makes the tree of a suite if it is missing or old.
have_tree() {
	local new mirror security
	[[ -z $(find "$TREES/$1" -maxdepth 0 -mtime "-$TREE_DAYS" 2>/dev/null) ]] || return 0
	need debian
	mirror=$(apt_mirror Debian)
	if [[ -z $mirror ]]; then # apt was not updated yet
		apt_get update
		mirror=$(apt_mirror Debian)
	fi
	[[ $mirror == http* ]] || die "apt uses no Debian mirror on this machine: ${mirror:-none}." "A tree of Debian $1 is made from one."
	security=$(apt_mirror Debian-Security)
	say "Making a tree of Debian $1, from $mirror"
	new=$(mktemp -d "$TREES/new.XXXXXX")
	(
		eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
		export http_proxy https_proxy
		debootstrap --variant=minbase --include=ca-certificates "$1" "$new" "$mirror"
	) >"$new.log" 2>&1 </dev/null || {
		tail -n 15 "$new.log" >&2
		rm -rf "$new" "$new.log"
		die "debootstrap could not make a tree of Debian $1 from $mirror."
	}
	rm -f "$new.log" "$new"/var/cache/apt/archives/*.deb "$packages"/*.deb
	printf 'deb %s %s main\n' "$mirror" "$1" "$mirror" "$1-updates" >"$new/etc/apt/sources.list"
	[[ -z $security ]] || printf 'deb %s %s-security main\n' "$security" "$1" >>"$new/etc/apt/sources.list"
	apt-config dump | grep -E '^Acquire::(http|https|Check-[^:]*)\b' >"$new/etc/apt/apt.conf.d/01host" || true
	cp -a /usr/local/share/ca-certificates "$new/usr/local/share"
	env -u TMPDIR chroot "$new" update-ca-certificates >"$new.log" 2>&1 ||
		die "update-ca-certificates failed in the tree of Debian $1:" "$(tail -n 15 "$new.log")"
	rm -f "$new.log"
	touch "$new"
	chmod 755 "$new"
	rm -rf --one-file-system "${TREES:?}/$1"
	mv "$new" "$TREES/$1"
}

# apt_mirror LABEL prints the address from which apt gets the packages with that label.
# shellcheck disable=SC2016 # the variable is apt's
apt_mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" | sort -u | sed -n '1s:/$::p'
}

# in_tree COMMAND... runs a command in the copy. Every process that it starts ends with it.
in_tree() {
	local proxy variable pip=()
	proxy=file:///mnt/modules,$(go env GOPROXY)
	for variable in PIP_{INDEX_URL,EXTRA_INDEX_URL,TRUSTED_HOST,CERT,DEFAULT_TIMEOUT}; do
		[[ ! -v $variable ]] || pip+=("$variable=${!variable}")
	done
	env -i PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 TERM="${TERM:-dumb}" GOPROXY="$proxy" GOSUMDB="$(go env GOSUMDB)" \
		http_proxy="${http_proxy-}" https_proxy="${https_proxy-}" no_proxy="${no_proxy-}" "${pip[@]}" \
		unshare --mount --pid --fork --kill-child --propagation private \
		"$BASH" scripts/lib/debian-enter.sh "$tree" "$TREES" "$(go env GOROOT)" "$(go env GOMODCACHE)/cache/download" "$@"
}
