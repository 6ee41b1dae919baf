# shellcheck shell=bash
# A PC/SC daemon with virtual readers, started only where none runs, and
# stopped if it was started here. Needs say.sh.

pcscd_job=     # the job that runs the daemon, where it was started here
pcscd_readers= # the directory of its readers, where it is not the system's

readonly PCSCD_PID_FILE=/run/pcscd/pcscd.pid

# has_virtual_readers asks the daemon, which starts it where systemd listens
# on its socket.
has_virtual_readers() { opensc-tool --list-readers 2>/dev/null | grep -q 'Virtual PCD'; }

# pid_in_file prints what the daemon wrote, which ends with a zero byte.
pid_in_file() { tr -dc '0-9' <"$PCSCD_PID_FILE"; }

pcscd_runs() { [[ -e $PCSCD_PID_FILE && $(cat "/proc/$(pid_in_file)/comm" 2>/dev/null) == pcscd ]]; }

# start_pcscd [more-readers] starts it, unless that is done, with two more virtual readers if told so.
# shellcheck disable=SC2120 # it is called without, mostly
start_pcscd() {
	local options=(--foreground) log
	[[ -z $pcscd_job ]] || return 0
	if has_virtual_readers; then
		say "Using the PC/SC daemon that runs already"
		return 0
	fi
	if pcscd_runs; then
		die "the PC/SC daemon that runs here has no virtual readers." \
			"It reads its configuration when it starts. Restart it (systemctl restart pcscd), then run this script again."
	fi
	# Only daemons that were built with polkit know this, and they need it
	# where nobody sits at the console.
	pcscd --help | grep -q -e --disable-polkit && options+=(--disable-polkit)
	if [[ ${1:-} == more-readers ]]; then
		more_readers
		options+=(--config "$pcscd_readers")
	fi
	log=$(mktemp)
	say "Starting pcscd ${options[*]}"
	as_root pcscd "${options[@]}" >"$log" 2>&1 &
	pcscd_job=$!
	for _ in {1..100}; do
		if has_virtual_readers; then
			rm -f "$log"
			return 0
		fi
		sleep 0.1
	done
	stop_pcscd
	die "pcscd did not come up within ten seconds:" "$(<"$log")"
}

# more_readers makes a configuration of the readers that there are and two more:
# the driver has two for each entry, and is loaded as another one for other two.
more_readers() {
	local driver
	pcscd_readers=$(mktemp -d)
	driver=$(sed -n 's/^LIBPATH *//p' /etc/reader.conf.d/vpcd)
	mkdir "$pcscd_readers/driver"
	cp "$driver" "$pcscd_readers/driver"
	cp /etc/reader.conf.d/* "$pcscd_readers"
	cat >"$pcscd_readers/more" <<-END
		FRIENDLYNAME "Other PCD"
		DEVICENAME   /dev/null:0x8C7D
		LIBPATH      $pcscd_readers/driver/${driver##*/}
		CHANNELID    0x8C7D
	END
}

# stop_pcscd ends the daemon itself, which the job only waits for.
stop_pcscd() {
	[[ -n $pcscd_job ]] || return 0
	say "Stopping pcscd"
	if pcscd_runs; then
		as_root kill "$(pid_in_file)" || true
	fi
	wait "$pcscd_job" || true
	pcscd_job=
	[[ -z $pcscd_readers ]] || rm -r "$pcscd_readers"
	pcscd_readers=
}
