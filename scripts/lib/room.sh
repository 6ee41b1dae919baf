#!/usr/bin/env bash
# Runs a command in a room of its own: a network with only loopback, an empty /run, and
# a PC/SC daemon with virtual readers. Everything that the command started ends with it.
# Several rooms can exist at once. Needs root.
#
#   scripts/lib/room.sh [--more-readers] COMMAND...
#
# go test runs the tests of a package in a room with -exec. --more-readers adds two
# virtual readers.
set -euo pipefail
scripts=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
# shellcheck source=scripts/lib/say.sh
. "$scripts/lib/say.sh"
# shellcheck source=scripts/lib/pcscd.sh
. "$scripts/lib/pcscd.sh"

# The first process of a room is this script again; all others end when it ends.
if (($$ != 1)); then
	exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private "${BASH_SOURCE[0]}" "$@"
fi

more=()
if [[ ${1-} == --more-readers ]]; then
	more=(more-readers)
	shift
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/pcscd /run/lock
mkdir -p /tmp/.X11-unix # the sockets of X servers
mount -t tmpfs -o mode=1777 tmpfs /tmp/.X11-unix
ip link set lo up

start_pcscd "${more[@]}"
status=0
"$@" || status=$?
((status == 0)) || pcscd_says
stop_pcscd
exit "$status"
