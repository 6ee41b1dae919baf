# shellcheck shell=bash disable=SC2034 # the variables are for demo.sh
# The demo on a simulated YubiKey.
needs=card
key=PIV.9A
who_writes='--management-key file:management.key'
module=opensc

prepare() {
	start_pcscd
	# Use only the virtual reader, whatever else is connected to this computer.
	export CARDCTL_READER='Virtual PCD 00 00'
}

blank() {
	step 'cardctl sim create floppy --applications piv --profile piv-yubikey-5'
	step 'cardctl sim attach floppy &'
	started+=($!)
	step 'cardctl list-readers --wait'
}

first_pins() {
	step 'cardctl init --app piv --yes --pin env:DEMO_PIN --puk env:DEMO_ADMIN_PIN --generate-management-key management.key'
}

show() {
	step "cardctl attest --key $key"
	step 'cardctl info'
}
