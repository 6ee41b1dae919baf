# shellcheck shell=bash
# What the scripts say, and how they give up.

heading() { printf '\n== %s\n' "$*"; }

say() { printf '%s\n' "$*"; }

die() {
	printf 'Error: %s\n' "$1" >&2
	shift
	(($# == 0)) || printf '%s\n' "$@" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Programs of the system administrator are not on every user's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# as_root runs a command as root: directly, or through sudo.
as_root() {
	if ((EUID == 0)); then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "this needs root: $*" "There is no sudo here. Run that as root, then this script again."
	fi
}
