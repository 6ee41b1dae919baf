# shellcheck shell=bash
# Provides axe-core, which finds what keeps people from using a page, from npm. Needs
# say.sh.

readonly AXE_VERSION=4.14.1
# As the registry names it: SHA-512 in base64.
readonly AXE_SUM='FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=='

# need_axe sets CARDCTL_AXE to the file of axe-core, which is kept in the user's cache.
need_axe() {
	local dir=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/tools/axe-core-$AXE_VERSION lock
	if [[ ! -e $dir/axe.min.js ]]; then
		mkdir -p "$dir"
		exec {lock}<"$dir"
		flock "$lock"
		[[ -e $dir/axe.min.js ]] || fetch_axe "$dir"
		exec {lock}<&-
	fi
	export CARDCTL_AXE=$dir/axe.min.js
}

# fetch_axe DIR gets the package from npm, compares it with its sum, and unpacks it.
fetch_axe() {
	local at sum
	say "Getting axe-core $AXE_VERSION from npm"
	at=$(mktemp -d)
	npm pack --silent --pack-destination "$at" "axe-core@$AXE_VERSION" >/dev/null ||
		die "axe-core could not be fetched from npm." "npm uses the registry that its configuration names."
	sum=$(openssl dgst -sha512 -binary "$at/axe-core-$AXE_VERSION.tgz" | base64 -w0)
	[[ $sum == "$AXE_SUM" ]] || die "axe-core $AXE_VERSION from npm is another one:" "  $sum"
	tar -xzf "$at/axe-core-$AXE_VERSION.tgz" -C "$at" package/axe.min.js
	mv "$at/package/axe.min.js" "$1/"
	rm -r "$at"
}
