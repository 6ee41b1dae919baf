# shellcheck shell=bash
# Provides yubikey-manager (ykman), a judge of PIV cards that is not in Debian. Needs
# say.sh.

# need_ykman puts ykman on the PATH, at the versions in ykman.txt, and installs it into
# the user's cache if it is missing. Python is Debian's, because of its pyscard.
need_ykman() {
	local python=/usr/bin/python3 sum dir lock
	sum=$({ "$python" --version && cat scripts/lib/ykman.txt; } | sha256sum)
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/tools/ykman-${sum:0:16}
	if [[ ! -e $dir/complete ]]; then
		mkdir -p "${dir%/*}"
		exec {lock}<"${dir%/*}"
		flock "$lock"
		[[ -e $dir/complete ]] || install_ykman "$python" "$dir"
		exec {lock}<&-
	fi
	PATH=$dir/bin:$PATH
}

# install_ykman PYTHON DIR makes a virtual environment with it.
install_ykman() {
	local log
	say "Installing yubikey-manager from PyPI"
	rm -rf "$2"
	log=$(mktemp)
	{
		"$1" -m venv --system-site-packages "$2" &&
			"$2/bin/python" -m pip install --no-input --no-deps --only-binary :all: --require-hashes -r scripts/lib/ykman.txt &&
			"$2/bin/ykman" --version
	} >"$log" 2>&1 || die "yubikey-manager could not be installed from PyPI:" "$(tail -n 15 "$log")" \
		"pip uses the index that PIP_INDEX_URL or its configuration names."
	rm -f "$log"
	touch "$2/complete"
}
