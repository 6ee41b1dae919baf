# shellcheck shell=bash
# Provides a PC/SC daemon with virtual readers. It is started only if none runs, and
# stopped if it was started here. Needs say.sh.

pcscd_job=     # the job that runs the daemon, if it was started here
pcscd_log=     # the file with its output
pcscd_readers= # the directory of its readers, if it is not the system's

readonly PCSCD_PID_FILE=/run/pcscd/pcscd.pid

# has_virtual_readers asks the daemon. This starts it if systemd listens on its socket.
has_virtual_readers() { opensc-tool --list-readers 2>/dev/null | grep -q 'Virtual PCD'; }

# pid_in_file prints the number that the daemon wrote, without the zero byte after it.
pid_in_file() { tr -dc '0-9' <"$PCSCD_PID_FILE"; }

pcscd_runs() { [[ -e $PCSCD_PID_FILE && $(cat "/proc/$(pid_in_file)/comm" 2>/dev/null) == pcscd ]]; }

# start_pcscd [more-readers] starts the daemon if it was not started yet, optionally with
# two more virtual readers.
# shellcheck disable=SC2120 # usually called without an argument
start_pcscd() {
	local options=(--foreground)
	[[ -z $pcscd_job ]] || return 0
	if has_virtual_readers; then
		say "Using the PC/SC daemon that is already running"
		return 0
	fi
	if pcscd_runs; then
		die "the running PC/SC daemon has no virtual readers." \
			"It reads its configuration when it starts. Restart it (systemctl restart pcscd), then run this script again."
	fi
	# Only daemons that were built with polkit have this option. They need it if nobody
	# is logged in at the console.
	pcscd --help | grep -q -e --disable-polkit && options+=(--disable-polkit)
	if [[ ${1:-} == more-readers ]]; then
		more_readers
		options+=(--config "$pcscd_readers")
	fi
	pcscd_log=$(mktemp)
	say "Starting pcscd ${options[*]}"
	as_root pcscd "${options[@]}" >"$pcscd_log" 2>&1 &
	pcscd_job=$!
	for _ in {1..100}; do
		! has_virtual_readers || return 0
		sleep 0.1
	done
	pcscd_says
	stop_pcscd
	die "pcscd did not start within ten seconds."
}

# pcscd_says prints the end of its output.
pcscd_says() {
	[[ ! -s $pcscd_log ]] || say "The end of what pcscd printed:"$'\n'"$(tail -n 30 "$pcscd_log")"
}

# more_readers makes a configuration with the existing readers and two more. The driver
# has two for each entry; a copy of it is loaded as another driver for the other two.
# ykcs11 looks at no reader but those whose name begins with Yubico.
more_readers() {
	local driver
	pcscd_readers=$(mktemp -d)
	driver=$(sed -n 's/^LIBPATH *//p' /etc/reader.conf.d/vpcd)
	mkdir "$pcscd_readers/driver"
	cp "$driver" "$pcscd_readers/driver"
	cp /etc/reader.conf.d/* "$pcscd_readers"
	cat >"$pcscd_readers/more" <<-END
		FRIENDLYNAME "Yubico PCD"
		DEVICENAME   /dev/null:0x8C7D
		LIBPATH      $pcscd_readers/driver/${driver##*/}
		CHANNELID    0x8C7D
	END
}

# stop_pcscd ends the daemon itself; the job only waits for it.
stop_pcscd() {
	[[ -n $pcscd_job ]] || return 0
	say "Stopping pcscd"
	if pcscd_runs; then
		as_root kill "$(pid_in_file)" || true
	fi
	wait "$pcscd_job" || true
	pcscd_job=
	rm -f "$pcscd_log"
	[[ -z $pcscd_readers ]] || rm -r "$pcscd_readers"
	pcscd_readers=
}
