#!/usr/bin/env bash
# From a blank card to a certificate that works, on a simulated card in a
# virtual reader of the real PC/SC daemon. Installs what is missing (Debian),
# and stops what it started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh
. scripts/lib/pcscd.sh

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

heading "Tools"
need build card
need_go
go build -o "$work/bin/cardctl" ./cmd/cardctl
start_pcscd

# Only the virtual reader is used, whatever else is connected to this machine.
export CARDCTL_READER='Virtual PCD 00 00' CARDCTL_STATE_DIR=$work/state
export DEMO_PIN=648219 DEMO_ADMIN_PIN=73915824
PATH=$work/bin:$PATH
cd "$work"

heading "A blank card"
step 'cardctl sim create floppy'
step 'cardctl sim attach floppy &'
card_pid=$!
step 'cardctl list-readers --wait'

heading "PINs, a key and a request"
step 'cardctl init --yes --pin env:DEMO_PIN --admin-pin env:DEMO_ADMIN_PIN'
step 'cardctl gen-key --key OPENPGP.3 --admin-pin env:DEMO_ADMIN_PIN'
subject='CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L="Snake Town",ST="Snake Desert",C=XY'
step "cardctl gen-csr --key OPENPGP.3 --pin env:DEMO_PIN --email floppy.head@example.com \\
    --subject '$subject' > floppy.csr"
step 'openssl req -verify -in floppy.csr -noout -subject'

heading "The Snake Oil CA signs it"
step "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Snake Oil CA' 2> openssl.log"
step 'openssl x509 -req -in floppy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -copy_extensions copy -out floppy.pem'

heading "The certificate, on the card and at work"
step 'cardctl import-cert --key OPENPGP.3 --admin-pin env:DEMO_ADMIN_PIN floppy.pem'
step 'cardctl info'
step 'cardctl smoke-test --key OPENPGP.3 --pin env:DEMO_PIN --module opensc --tls'

heading "Done"
