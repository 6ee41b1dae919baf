#!/usr/bin/env bash
# A shell, or a command, in a Debian on which nothing is installed:
#
#   ./scripts/debian13.sh                        a shell in Debian 13
#   ./scripts/debian13.sh SUITE [COMMAND...]     another suite (bookworm); a command in it
#
# It begins in a copy of this checkout, as root. It has mounts, processes and a /run of its
# own, the network of this machine, and the Go of this machine, read-only. What is changed in
# it is gone afterwards; the packages that were fetched are kept for the next time.
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

((EUID == 0)) || die "only root can have a Debian beside this one." "Run this as root."
take_tree "$suite"
trap leave_tree EXIT
status=0
in_tree "$@" || status=$?
exit "$status"
