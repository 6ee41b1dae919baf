# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo on a blank Java card. The card gets new card keys, then first an OpenPGP
# and a MUSCLE applet, and finally the IsoApplet that the rest of the demo uses.
. scripts/demo/pkcs15.sh

applets=$PWD/internal/cardsim/testdata

# applet shows how an applet is inspected and installed.
applet() {
	cp "$applets/$1" .
	step "cardctl applet inspect $1"
	step "cardctl applet install $1 --card-keys file:card.keys"
}

blank() {
	step 'cardctl sim create floppy --applications gp --secure-channel scp03-70'
	step 'cardctl sim attach floppy &'
	started+=($!)
	step 'cardctl list-readers --wait'
	step 'cardctl applet set-keys --generate --keys-file card.keys --card-keys default --yes'

	heading "An OpenPGP applet"
	applet OpenPGP.cap
	step 'cardctl init --app openpgp --yes --pin env:DEMO_PIN --admin-pin env:DEMO_ADMIN_PIN'
	step 'cardctl gen-key --key OPENPGP.3 --admin-pin env:DEMO_ADMIN_PIN'
	step "cardctl gen-csr --key OPENPGP.3 --pin env:DEMO_PIN --self-signed --days 7 --subject CN=Floppy > own.pem"
	step 'cardctl import-cert --key OPENPGP.3 --admin-pin env:DEMO_ADMIN_PIN own.pem'
	step 'cardctl smoke-test --key OPENPGP.3 --pin env:DEMO_PIN --module opensc'
	step 'cardctl applet delete D27600012401 --with-applets --yes --card-keys file:card.keys'

	heading "A MUSCLE applet"
	applet Muscle.cap
	step 'cardctl init --app muscle --yes --pin env:DEMO_PIN --so-pin env:DEMO_ADMIN_PIN --puk env:DEMO_ADMIN_PIN'
	step 'cardctl applet delete A000000001 --with-applets --yes --card-keys file:card.keys'

	heading "A PKCS#15 applet"
	applet IsoApplet.cap
	step 'cardctl applet list --card-keys file:card.keys'
}
