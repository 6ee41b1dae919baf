#!/usr/bin/env bash
# Opens a shell, or runs a command, in a bare Debian:
#
#   ./scripts/debian13.sh                        a shell in Debian 13
#   ./scripts/debian13.sh SUITE [COMMAND...]     another suite, such as bookworm; a command in it
#
# It ends with the status of the command, or with 125 if no such Debian can be run here.
# The command starts as root, in a copy of this checkout. It has its own mounts, processes
# and /run, the network of this machine and, read-only, its Go. All changes are lost at
# the end, except that downloaded packages are kept for the next time.
set -euo pipefail
checkout=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
cd "$checkout"
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/debian.sh

suite=${1:-trixie}
shift $(($# > 0))
(($# > 0)) || set -- bash

trap 'exit 125' EXIT
((EUID == 0)) || die "only root can run a second Debian." "Run this as root."
take_tree "$suite"
trap leave_tree EXIT
status=0
in_tree "$@" || status=$?
exit "$status"
