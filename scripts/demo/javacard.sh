# shellcheck shell=bash disable=SC2034,SC2154 # variables are for demo.sh, and from it
# The demo on a blank Java card, on which an OpenPGP applet is installed first.
. scripts/demo/openpgp.sh

applet=$PWD/internal/cardsim/testdata/OpenPGP.cap

blank() {
	step 'cardctl sim create floppy --applications gp --secure-channel scp03-70'
	step 'cardctl sim attach floppy &'
	card_pid=$!
	step 'cardctl list-readers --wait'

	heading "Keys of its own, and an applet"
	step 'cardctl applet set-keys --generate --keys-file card.keys --card-keys default --yes'
	cp "$applet" .
	step 'cardctl applet inspect OpenPGP.cap'
	step 'cardctl applet install OpenPGP.cap --card-keys file:card.keys'
	step 'cardctl applet list --card-keys file:card.keys'
}
