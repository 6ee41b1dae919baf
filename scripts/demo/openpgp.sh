# shellcheck shell=bash disable=SC2034 # the variables are for demo.sh
# The demo on a simulated OpenPGP card.
needs=card
key=OPENPGP.3
who_writes='--admin-pin env:DEMO_ADMIN_PIN'
module=opensc

prepare() {
	start_pcscd
	# Use only the virtual reader, whatever else is connected to this computer.
	export CARDCTL_READER='Virtual PCD 00 00'
}

blank() {
	step 'cardctl sim create floppy'
	step 'cardctl sim attach floppy &'
	started+=($!)
	step 'cardctl list-readers --wait'
}

first_pins() { step 'cardctl init --yes --pin env:DEMO_PIN --admin-pin env:DEMO_ADMIN_PIN'; }

show() { step 'cardctl info'; }
