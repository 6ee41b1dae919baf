# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo of the agent: one simulated OpenPGP card that several programs use at once. The
# PIN is entered once.
needs='card agent'
key=OPENPGP.3

prepare() {
	start_pcscd
	export CARDCTL_READER='Virtual PCD 00 00' # only the virtual reader
	export HOME=$work XDG_CONFIG_HOME=$work/config XDG_RUNTIME_DIR=$work/run GNUPGHOME=$work/gnupg ASKED=$work/asked
	mkdir -m 700 "$XDG_RUNTIME_DIR" "$GNUPGHOME"
}

story() {
	heading "A card with three keys and a certificate"
	step 'cardctl sim create floppy'
	step 'cardctl sim attach floppy &'
	started+=($!)
	step 'cardctl list-readers --wait'
	step 'cardctl init --yes --pin env:DEMO_PIN --admin-pin env:DEMO_ADMIN_PIN'
	local place
	for place in OPENPGP.1 OPENPGP.2 $key; do
		step "cardctl gen-key --key $place --algorithm p256 --admin-pin env:DEMO_ADMIN_PIN"
	done
	step "cardctl gen-csr --key $key --pin env:DEMO_PIN --email floppy.head@example.com --subject 'CN=Floppy Head' > floppy.csr"
	step "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Snake Oil CA' 2> openssl.log"
	step 'openssl x509 -req -in floppy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -copy_extensions copy -out floppy.pem'
	step "cardctl import-cert --key $key --admin-pin env:DEMO_ADMIN_PIN floppy.pem"

	heading "The agent holds the card"
	enter_pin
	step 'cardctl agent'
	echo 'a message' >message

	heading "ssh signs"
	export SSH_AUTH_SOCK=$XDG_RUNTIME_DIR/cardctl/ssh
	step "ssh-add -L | grep $key | tee floppy.pub"
	step 'ssh-keygen -q -Y sign -f floppy.pub -n file message'
	step 'ssh-keygen -Y check-novalidate -n file -s message.sig < message'

	heading "gpg adopts the keys, and signs"
	step 'cardctl setup gpg --agent --key OPENPGP.1'
	step 'gpgconf --kill gpg-agent'
	step 'gpg --card-status'
	step 'gpg --batch --output message.gpg --detach-sign message'
	step 'gpg --batch --verify message.gpg message'

	heading "openssl signs"
	step "cardctl setup openssl --agent --key $key"
	step "OPENSSL_CONF=config/cardctl/openssl.cnf openssl dgst -engine pkcs11 -keyform engine -sha256 \\
    -sign 'pkcs11:id=%03;type=private' -out signature message"
	step 'openssl x509 -in floppy.pem -pubkey -noout > public.pem'
	step 'openssl dgst -sha256 -verify public.pem -signature signature message'

	! have firefox-esr || ! have modutil || log_in_with_firefox agent --agent ''
	program= # Firefox has logged in

	heading "The PIN was entered once"
	step 'cardctl agent status'
	step 'wc -l asked'
	[[ $(wc -l <asked) -eq 1 ]] || die "the agent asked for the PIN more than once."
	step 'cardctl agent stop'
	gpgconf --kill all
}

# enter_pin puts a program in the place of pinentry, and of a person. It counts what it is
# asked.
enter_pin() {
	mkdir -p bin
	cat >bin/pinentry <<-'END'
		#!/bin/sh
		echo OK
		while read -r command rest; do
			case $command in
			GETPIN) echo "$command" >>"$ASKED" && echo "D $DEMO_PIN" && echo OK ;;
			BYE) echo OK && exit ;;
			*) echo OK ;;
			esac
		done
	END
	chmod +x bin/pinentry
}
