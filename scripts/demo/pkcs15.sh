# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo on a simulated PKCS#15 card, an IsoApplet, written through OpenSC.
needs=card
key=PKCS15.45
who_writes='--pin env:DEMO_PIN'
module=opensc
proof= # its RSA key makes no RSA-PSS signatures, so not every TLS library can use it

prepare() {
	start_pcscd
	# Use only the virtual reader, whatever else is connected to this computer.
	export CARDCTL_READER='Virtual PCD 00 00' DEMO_PUK=1357924680135792
}

blank() {
	step 'cardctl sim create floppy --applications pkcs15'
	step 'cardctl sim attach floppy &'
	started+=($!)
	step 'cardctl list-readers --wait'
}

first_pins() { step 'cardctl init --app pkcs15 --label floppy --yes --pin env:DEMO_PIN --puk env:DEMO_PUK'; }

show() { step 'cardctl info'; }
