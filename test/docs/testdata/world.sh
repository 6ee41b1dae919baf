# shellcheck shell=bash
# What has to be there before an example of the manual is run. The secrets are in
# the environment, the example in $EXAMPLE.

# pins gives the card the PINs of a desk.
pins() { cardctl init --yes --pin env:PIN --admin-pin env:ADMIN_PIN; }

key() {
	pins
	cardctl gen-key --key OPENPGP.3 --admin-pin env:ADMIN_PIN
}

# issued leaves the certificate of the card's key in floppy.pem, and that of who
# issued it in ca.pem.
issued() {
	key
	cardctl gen-csr --key OPENPGP.3 --subject 'CN=Floppy Head' --pin env:PIN --out floppy.csr
	issue
}

issue() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 7 -subj '/CN=Snake Oil CA'
	openssl x509 -req -in floppy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -out floppy.pem
}

# order is a CA on the card, what it issued in me.pem, and another request and key.
order() {
	key
	cardctl gen-key --key OPENPGP.1 --algorithm p256 --admin-pin env:ADMIN_PIN
	cardctl ca init desk-ca --subject 'CN=Desk CA' --key OPENPGP.1 --pin env:PIN
	cardctl gen-csr --key OPENPGP.3 --subject 'CN=Floppy Head' --pin env:PIN --out me.csr
	cardctl ca issue desk-ca me.csr --profile client --pin env:PIN --out me.pem
	cardctl gen-csr --key OPENPGP.3 --subject 'CN=me' --pin env:PIN --out me.csr
	cardctl export-key --key OPENPGP.3 --out key2.pem
	(umask 077 && echo 'snake oil' >ca.password)
}

# ledger has a card of somebody, whose PUK the identity in desk.key opens.
ledger() {
	recipient=age10f79ta2r0jvme3mvwwm5hwwjts9hnzf2ddcla5gr90nhkp28xdmsvmwt4p
	(umask 077 && echo AGE-SECRET-KEY-1TV0Z42KCLL285Y7P7EWG8FJ9A30CJGJ8T975FJZD6MELRFHEW7XSSX64GV >desk.key)
	printf 'serial,person,name\nFFFE12345678,floppy@example.com,Floppy Head\n' >cards.csv
	printf 'serial,person,name,puk\nFFFE12345678,floppy@example.com,Floppy Head,27182818\n' >puks.csv
	cardctl ledger import puks.csv --to "$recipient"
}

# due_letter is a card whose PIN was generated, and a printer.
due_letter() {
	ledger
	mkdir letters bin
	printf '#!/bin/sh\ncat >paper\n' >bin/lpr
	chmod +x bin/lpr
	cat >plan.yaml <<-END
		schema: cardctl/v1
		kind: Plan
		person: {id: "{{.mail}}"}
		card: {application: openpgp}
		pins:
		  user: {generate: 8 digits, keep: letter}
		  admin: {generate: 8 digits, keep: ledger}
		seal: [$recipient]
	END
	printf 'mail\nbob@example.com\n' >rows.csv
	cardctl provision plan.yaml --rows rows.csv --yes
}

# staff is a plan for a card, a table with one person, and a CA with its key in a file.
staff() {
	recipient=age10f79ta2r0jvme3mvwwm5hwwjts9hnzf2ddcla5gr90nhkp28xdmsvmwt4p
	(umask 077 && echo AGE-SECRET-KEY-1TV0Z42KCLL285Y7P7EWG8FJ9A30CJGJ8T975FJZD6MELRFHEW7XSSX64GV >desk.key)
	cardctl ca init desk-ca --subject 'CN=Desk CA' --algorithm p256 --password env:PASSWORD
	cat >staff.yaml <<-END
		schema: cardctl/v1
		kind: Plan
		person: {id: "{{.mail}}"}
		card: {application: openpgp}
		pins:
		  user: {generate: 8 digits, keep: both}
		  admin: {generate: 8 digits, keep: ledger}
		keys:
		  - {ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.mail}}", issuer: desk, days: 20}}
		issuers:
		  desk: {url: "ca:desk-ca?profile=client", secret: env:PASSWORD}
		seal: [$recipient]
	END
	printf 'mail\nfloppy@example.com\n' >staff.csv
}

provisioned() { cardctl provision staff.yaml --rows staff.csv --yes; }

# small_ca is the CA of order, unless the example makes one, or another one to take over.
small_ca() {
	order
	case $EXAMPLE in
	*" ca init "*) rm -r desk-ca ;;
	*" ca import "*) office ;;
	esac
}

# desk_ca is a CA with its key in a file, and a key without a certificate.
desk_ca() {
	key
	export CARDCTL_ISSUER_SECRET='snake oil'
	cardctl ca init desk-ca --subject 'CN=Desk CA' --password env:CARDCTL_ISSUER_SECRET
}

enrolled() {
	cardctl enroll --key OPENPGP.3 --subject CN=me --issuer 'ca:desk-ca?profile=client' --days 20 --pin env:PIN --admin-pin env:ADMIN_PIN
}

# office is a directory of easy-rsa, whose key is not encrypted.
office() {
	EASYRSA_PKI=$PWD/easy-rsa/pki EASYRSA_BATCH=1 EASYRSA_ALGO=ec
	export EASYRSA_PKI EASYRSA_BATCH EASYRSA_ALGO
	mkdir easy-rsa
	/usr/share/easy-rsa/easyrsa init-pki
	/usr/share/easy-rsa/easyrsa build-ca nopass
	/usr/share/easy-rsa/easyrsa build-client-full floppy nopass
}

certificate() {
	issued
	cardctl import-cert --key OPENPGP.3 --admin-pin env:ADMIN_PIN floppy.pem
}

# network is a private network on this machine: the configurations of a server and of a
# client that has the card.
network() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -out server.pem
	printf '%s\n' 'dev null' 'local 127.0.0.1' 'port 11940' tls-server 'ca ca.pem' 'cert server.pem' 'key server.key' 'dh none' >server.ovpn
	printf '%s\n' 'dev null' 'remote 127.0.0.1 11940' nobind tls-client 'ca ca.pem' >client.ovpn
}

# attested is a PIV card with a key that it generated, and the CA of its maker.
attested() {
	cardctl sim create desk --profile piv-yubikey-5 --attestation-ca maker.pem
	cardctl gen-key --key PIV.9A --management-key default
}

# attested_openpgp is an OpenPGP card with a key that it generated.
attested_openpgp() {
	cardctl sim create desk --profile openpgp-yubikey-5.7
	key
}

# movable is a PIV card that can move keys, and has some, and a file with another.
movable() {
	openssl ecparam -name prime256v1 -genkey -noout -out key.pem
	cardctl sim create desk --profile piv-yubikey-5.7
	cardctl gen-key --key PIV.9A --management-key default
	cardctl gen-key --key PIV.9D --management-key default
}

# managed is a PIV card with the management key that the example has.
managed() {
	cardctl sim create desk --profile piv-yubikey-5
	case $EXAMPLE in
	*file:management.key*) cardctl init --app piv --yes --pin env:PIN --puk env:PUK --generate-management-key management.key ;;
	*"--management-key protected"*) cardctl init --app piv --yes --pin env:PIN --puk env:PUK --protect-management-key ;;
	esac
}

# files are those with a PIN or a key.
files() {
	umask 077
	printf '%s\n' "$PIN" >pin.txt
	printf '%s\n' "$ADMIN_PIN" >admin-pin.txt
	printf '%s\n' "$PASSWORD" >pw
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes256 -pass env:PASSWORD -out key.pem
	openssl req -x509 -key key.pem -passin env:PASSWORD -days 7 -subj '/CN=Floppy Head' -out backup.pem
	openssl pkcs12 -export -inkey key.pem -passin env:PASSWORD -in backup.pem -passout env:PASSWORD -out backup.p12
}

# blocked takes the tries of the user PIN, having set a resetting code.
blocked() {
	cardctl set-pin reset-code --admin-pin env:ADMIN_PIN --new-pin env:CODE
	for _ in 1 2 3; do
		cardctl set-pin user --pin env:NEW --new-pin env:PIN --allow-last-try || true
	done
}

# token makes a token of SoftHSM2, token_key a key with this ID and label on it,
# and its certificate.
token() { cardctl init --app pkcs11 --module softhsm2 --label desk --yes --so-pin env:SO_PIN --pin env:PIN; }

token_key() {
	local key="pkcs11:token=desk;object=$2;id=%$1"
	cardctl gen-key --key "$key" --module softhsm2 --pin env:PIN
	cardctl gen-csr --key "$key" --module softhsm2 --pin env:PIN --subject "CN=$2" --out floppy.csr
	issue
	cardctl import-cert --key "$key" --module softhsm2 --pin env:PIN floppy.pem
}

# java gives a Java card keys of its own, in the files that the example reads.
java() {
	local file
	case $EXAMPLE in
	*"--card-keys file:"*)
		file=${EXAMPLE##*--card-keys file:}
		cardctl applet set-keys --generate --keys-file "${file%% *}" --card-keys default --yes
		;;
	esac
	# The store of passwords that an example asks.
	mkdir -p .local/bin
	printf '#!/bin/sh\necho 000102030405060708090A0B0C0D0E0F\n' >.local/bin/pass
	chmod +x .local/bin/pass
}

isoapplet() {
	local keys=default
	[[ $EXAMPLE != *"--card-keys file:card.keys"* ]] || keys=file:card.keys
	cardctl applet install IsoApplet.cap --card-keys "$keys"
}

# domain makes the security domain that an applet is given to.
domain() { cardctl applet domain create D276000085304A434F9003 --card-keys default; }

# states brings the card to the state that the example leaves.
states() {
	set_state() { cardctl applet state "$@" --card-keys file:card.keys --yes; }
	case $EXAMPLE in
	*" unlock F276"*) set_state lock F276A288BCFBA69D34F31001 ;;
	*" secured "*) set_state initialized ;;
	*" lock-card "*) set_state initialized && set_state secured ;;
	*" unlock-card "*) set_state initialized && set_state secured && set_state lock-card ;;
	esac
}

# personalisation is data for the security domain.
personalisation() { printf '\x00\x45\x04\xA0\xB1\xC2\xD4' >perso.bin; }

# two_keys are card keys beside the test keys.
two_keys() {
	cardctl applet set-keys --new-card-keys default --keys-file first.keys --card-keys default --yes
	cardctl applet set-keys --generate --new-key-version 5 --add --keys-file second.keys --card-keys default --yes
}

# way makes what the steps before the example make.
way() {
	case $EXAMPLE in
	*" gen-key "*) pins ;;
	*" gen-csr "*) key ;;
	*" import-cert "*) issued && mv floppy.pem me.pem ;;
	esac
}

# openpgp makes an OpenPGP card with what the example wants to find on it.
openpgp() {
	case $EXAMPLE in
	*" gen-key "*) pins ;;
	*" unblock-pin "*) pins && blocked ;;
	*" export-cert "*) certificate ;;
	*) issued && files ;;
	esac
}

# loaded puts an applet on the card where the example takes one away, or anew.
loaded() {
	case $EXAMPLE in
	*" delete "* | *--replace* | *" state lock F276"*) cardctl applet install IsoApplet.cap --card-keys default ;;
	esac
}

# softhsm is a token with a key and its certificate, unless the example makes one.
softhsm() {
	[[ $EXAMPLE == *" init "* ]] && return
	token
	token_key 45 vpn
}

# pkcs15 makes a PKCS#15 card, with what the example wants to find on it.
pkcs15() {
	[[ $EXAMPLE == *" init "* ]] && return
	cardctl init --app pkcs15 --label desk --yes --pin env:PIN --puk env:PUK
	case $EXAMPLE in
	*-cert*)
		cardctl gen-key --key PKCS15.45 --algorithm rsa2048 --pin env:PIN
		cardctl gen-csr --key PKCS15.45 --subject CN=me --pin env:PIN --out floppy.csr
		issue
		;;&
	*import-key*) files ;;
	*export-cert* | *delete-cert*) cardctl import-cert --key PKCS15.45 --pin env:PIN floppy.pem ;;
	esac
}

# piv makes a YubiKey with the PIN and PUK of a desk, and with what the example wants to
# find on it.
piv() {
	case $EXAMPLE in
	*" move-key "* | *" delete-key "* | *" import-key "*)
		cardctl sim delete desk --yes
		movable
		return
		;;
	esac
	cardctl init --app piv --yes --pin env:PIN --puk env:PUK --management-key default
	case $EXAMPLE in
	*" gen-key "* | *" init "* | *-pin* | *" set-management-key "*) return ;;
	*-cert*)
		cardctl gen-key --key PIV.9A --management-key default
		cardctl gen-csr --key PIV.9A --subject CN=me --pin env:PIN --out floppy.csr
		issue
		;;
	*) cardctl gen-key --key PIV.9A --management-key default ;;
	esac
	case $EXAMPLE in
	*export-cert* | *delete-cert*) cardctl import-cert --key PIV.9A --management-key default floppy.pem ;;
	esac
}

# myeid makes a MyEID card, whose PUK is shorter.
myeid() {
	cardctl init --app pkcs15 --label desk --yes --pin env:PIN --puk env:PUK --so-pin env:SO_PIN
}

scripts() {
	local open='open_sc -security 1 -key 404142434445464748494A4B4C4D4E4F'
	printf '%s\n' mode_211 establish_context card_connect "$open" 'install -file IsoApplet.cap' >install.gpsh
	printf '%s\n' mode_211 establish_context card_connect "$open" 'get_status -element 40' >list.gpsh
}

# by_agent has an agent hold a card with a certificate.
by_agent() {
	issued
	cardctl import-cert --key OPENPGP.3 --admin-pin env:ADMIN_PIN floppy.pem
	mkdir -m 700 ~/.gnupg
	agent
}

# agent has an agent run, unless the example starts it.
agent() {
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	[[ $EXAMPLE == "cardctl agent" ]] || cardctl agent --pin env:PIN
}
