# shellcheck shell=bash
# Keeps temporary files in memory, where that can be: a simulated card is written at
# each command, and a disk makes the tests wait for it.

readonly IN_MEMORY=/dev/shm
readonly NEEDED_THERE=4194304 # kB

memory_dir= # the directory for temporary files

# use_memory sets TMPDIR to a directory in memory, if there is enough of it and programs
# may run from there.
use_memory() {
	local room
	room=$(df --output=avail "$IN_MEMORY" 2>/dev/null | tail -n 1)
	[[ -z ${TMPDIR-} && ${room:-0} -ge $NEEDED_THERE ]] || return 0
	(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo) >= 2 * NEEDED_THERE)) || return 0
	memory_dir=$(mktemp -d "$IN_MEMORY/cardctl.XXXXXX")
	chmod 1777 "$memory_dir"
	printf '#!/bin/sh\n' >"$memory_dir/runs"
	chmod +x "$memory_dir/runs"
	if "$memory_dir/runs" 2>/dev/null; then
		export TMPDIR=$memory_dir
	fi
	rm "$memory_dir/runs"
}

# leave_memory removes it with what is in it.
leave_memory() { [[ -z $memory_dir ]] || rm -rf "$memory_dir"; }
