#!/usr/bin/env bash
# From blank to a certificate that works: ./scripts/demo.sh [--installed] [--family openpgp|pkcs15|softhsm|javacard]
# OpenPGP and Java cards are simulated, in a virtual reader of the real PC/SC daemon.
# Installs what is missing (Debian), and stops what it started. Builds cardctl
# first, if it is not to take the one that is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh

installed=
if [[ ${1-} == --installed ]]; then
	installed=1
	shift
fi
family=openpgp
if [[ ${1-} == --family && -n ${2-} ]]; then
	family=$2
	shift 2
fi
[[ $# -eq 0 && $family != */* && -f scripts/demo/$family.sh ]] ||
	die "usage: ./scripts/demo.sh [--installed] [--family openpgp|pkcs15|softhsm|javacard]"

work=$(mktemp -d)
card_pid=

clean_up() {
	if [[ -n $card_pid ]]; then
		kill -INT "$card_pid" 2>/dev/null || true
		wait "$card_pid" || true
	fi
	stop_pcscd
	rm -rf "$work"
}
trap clean_up EXIT

# step shows a command line and runs it.
step() {
	printf '\n$ %s\n' "$1"
	eval "$1" </dev/null
}

# A family says in key, who_writes and module how its commands differ, and in
# prepare, blank, first_pins and show what comes before and after.
# shellcheck source=scripts/demo/openpgp.sh
. "scripts/demo/$family.sh"

heading "Tools"
prepare
if [[ -z $installed ]]; then
	need build
	need_go
	go build -o "$work/bin/cardctl" ./cmd/cardctl
fi
export CARDCTL_STATE_DIR=$work/state DEMO_PIN=648219 DEMO_ADMIN_PIN=73915824
PATH=$work/bin:$PATH
cd "$work"

heading "Blank"
blank

heading "PINs, a key and a request"
first_pins
step "cardctl gen-key --key $key $who_writes"
subject='CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L="Snake Town",ST="Snake Desert",C=XY'
step "cardctl gen-csr --key $key --pin env:DEMO_PIN --email floppy.head@example.com \\
    --subject '$subject' > floppy.csr"
step 'openssl req -verify -in floppy.csr -noout -subject'

heading "The Snake Oil CA signs it"
step "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Snake Oil CA' 2> openssl.log"
step 'openssl x509 -req -in floppy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -copy_extensions copy -out floppy.pem'

heading "The certificate, stored and at work"
step "cardctl import-cert --key $key $who_writes floppy.pem"
show
step "cardctl smoke-test --key $key --pin env:DEMO_PIN --module $module --tls"

heading "Done"
