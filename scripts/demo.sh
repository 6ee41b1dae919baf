#!/usr/bin/env bash
# From a blank card to a certificate that works:
#
#   ./scripts/demo.sh [--installed] [--family openpgp|pkcs15|piv|softhsm|javacard|ca|fleet|agent]
#   ./scripts/demo.sh [--installed] --program firefox [--family agent]
#
# --program goes on until Firefox has logged in with the card, and keeps a picture of it
# in the directory CARDCTL_PICTURES, or else ~/.cache/cardctl/pictures. The family ca is
# a CA with its key on a card, and three other cards, one of which is revoked; fleet is
# twelve cards in four readers, from one plan and one table of people; agent is one card
# that ssh, gpg, openssl and, if it is installed, Firefox use at once.
#
# The cards are simulated, in a virtual reader of the real PC/SC daemon; softhsm is a
# token of SoftHSM2. The script installs missing programs (on Debian), builds cardctl
# unless --installed selects the installed one, and stops everything that it started.
# If it runs as root, the daemon and the reader are in a room of their own, next to those
# of other runs.
set -euo pipefail
self=$(realpath "${BASH_SOURCE[0]}")
cd "$(dirname "$self")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh
. scripts/lib/rooms.sh

work=
if [[ ${1-} == --in-room ]]; then # this script, from a room
	work=$2
	shift 2
fi
in_room=$work
arguments=("$@")
installed=
if [[ ${1-} == --installed ]]; then
	installed=1
	shift
fi
family=openpgp
program=
if [[ ${1-} == --program && ${2-} == firefox ]]; then
	program=$2
	shift 2
fi
if [[ ${1-} == --family && -n ${2-} ]]; then
	family=$2
	shift 2
fi
[[ $# -eq 0 && $family != */* && -f scripts/demo/$family.sh ]] ||
	die "usage: ./scripts/demo.sh [--installed] [--program firefox | --family openpgp|pkcs15|piv|softhsm|javacard|ca|fleet|agent]"

[[ -n $work ]] || work=$(mktemp -d)
pictures=${CARDCTL_PICTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/cardctl/pictures}
started=() # process ids of what runs in the background

# stop PID... ends what was started, if it still runs, and waits for it.
stop() {
	local pid
	for pid in "$@"; do
		! jobs -rp | grep -qx "$pid" || kill -INT "$pid" || true
		wait "$pid" 2>/dev/null || true
	done
}

clean_up() {
	[[ ! -S $work/run/cardctl/ctl ]] || cardctl agent stop || true
	stop "${started[@]}"
	stop_pcscd
	[[ -n $in_room ]] || rm -rf "$work"
}
trap clean_up EXIT

# step shows a command line and runs it.
step() {
	printf '\n$ %s\n' "$1"
	eval "$1" </dev/null
}

proof=--tls      # what smoke-test adds
room_options=() # of the room

# story is what a family shows: a card, from blank to a certificate that works.
story() {
	heading "A blank card"
	blank

	heading "PINs, a key and a request"
	first_pins
	step "cardctl gen-key --key $key $who_writes"
	subject='CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L="Snake Town",ST="Snake Desert",C=XY'
	step "cardctl gen-csr --key $key --pin env:DEMO_PIN --email floppy.head@example.com \\
    --subject '$subject' > floppy.csr"
	step 'openssl req -verify -in floppy.csr -noout -subject'

	heading "The Snake Oil CA signs the request"
	step "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Snake Oil CA' 2> openssl.log"
	step 'openssl x509 -req -in floppy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -copy_extensions copy -out floppy.pem'

	heading "Import the certificate and use it"
	step "cardctl import-cert --key $key $who_writes floppy.pem"
	show
	step "cardctl smoke-test --key $key --pin env:DEMO_PIN --module $module $proof"
}

# log_in_with_firefox PICTURE SETUP CHECK has Firefox log in with the card, with options of
# setup and more of them for its check.
log_in_with_firefox() {
	heading "Firefox logs in with the card"
	mkdir -p "$pictures"
	export HOME=$work
	step "firefox-esr --headless --createprofile 'floppy $work/firefox' 2> firefox.log"
	step "cardctl setup firefox --profile firefox --key $key --ca ca.pem${2:+ $2}"
	step "cardctl setup firefox --profile firefox --key $key --ca ca.pem${2:+ $2} --check${3:+ $3} --picture '$pictures/demo-$1.png'"
}

# The script of a family sets needs, key, who_writes and module, which differ in its
# commands, and defines prepare, blank, first_pins and show, which come before and after;
# or needs, prepare and a story of its own.
# shellcheck source=scripts/demo/openpgp.sh
. "scripts/demo/$family.sh"

if [[ -z $in_room ]]; then
	heading "Tools"
	# shellcheck disable=SC2086 # groups of packages have no blanks
	need $needs
	[[ -z $program ]] || need programs
	if [[ -z $installed ]]; then
		need build
		need_go
		go build -o "$work/bin/cardctl" ./cmd/cardctl
	fi
	if [[ " $needs " == *" card "* ]] && ((EUID == 0)) && can_make_rooms; then
		"$room" "${room_options[@]}" "$self" --in-room "$work" "${arguments[@]}"
		exit
	fi
fi
prepare
export CARDCTL_STATE_DIR=$work/state DEMO_PIN=648219 DEMO_ADMIN_PIN=73915824
PATH=$work/bin:$PATH
cd "$work"

story

[[ $program != firefox ]] || log_in_with_firefox firefox '' '--pin env:DEMO_PIN'

heading "Done"
