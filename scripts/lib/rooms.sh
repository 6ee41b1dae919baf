# shellcheck shell=bash
# Finds out whether rooms (room.sh) can be made. Needs say.sh and packages.sh.

room=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/room.sh # runs a command in a room

# can_make_rooms says why, if they cannot be made.
can_make_rooms() {
	local trouble
	if ((EUID != 0)); then
		say "Only root can make a room with a PC/SC daemon of its own."
		return 1
	fi
	need room
	trouble=$("$room" true 2>&1) || {
		say "No room with a PC/SC daemon of its own can be made here:" "$trouble"
		return 1
	}
}
