# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo on a SoftHSM2 token, through its PKCS#11 module.
needs=token
key="'pkcs11:token=floppy;object=vpn'"
who_writes='--pin env:DEMO_PIN'
module=softhsm2

prepare() {
	mkdir "$work/tokens"
	echo "directories.tokendir = $work/tokens" >"$work/softhsm2.conf"
	export SOFTHSM2_CONF=$work/softhsm2.conf CARDCTL_MODULE=softhsm2
}

blank() { step 'cardctl list-tokens'; }

first_pins() {
	step 'cardctl init --app pkcs11 --label floppy --yes --so-pin env:DEMO_ADMIN_PIN --pin env:DEMO_PIN'
}

show() { step 'cardctl info --app pkcs11 --token floppy'; }
