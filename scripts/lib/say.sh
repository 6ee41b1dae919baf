# shellcheck shell=bash
# How the scripts report progress and errors.

heading() { printf '\n== %s\n' "$*"; }

say() { printf '%s\n' "$*"; }

# minutes SECONDS prints a time in minutes and seconds.
minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

die() {
	printf 'Error: %s\n' "$1" >&2
	shift
	(($# == 0)) || printf '%s\n' "$@" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Programs for the system administrator are not in every user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# as_root runs a command as root: directly, or through sudo.
as_root() {
	if ((EUID == 0)); then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "this needs root: $*" "sudo is not installed. Run that command as root, then run this script again."
	fi
}
