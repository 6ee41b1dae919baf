# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo of a CA whose key is on a card. Two cards and a token get certificates of it
# and log in to nginx, until one of them is revoked.
needs='card token web'

readonly VAULT='--reader sim:vault --pin env:DEMO_PIN' # the card with the key of the CA
readonly FLOPPY="--reader 'Virtual PCD 00 00' --key OPENPGP.3"
readonly YUBI="--reader 'Virtual PCD 00 01' --key PIV.9A"
readonly TOKEN="--module softhsm2 --key 'pkcs11:token=desk;object=vpn'"

prepare() {
	start_pcscd
	mkdir "$work/tokens"
	echo "directories.tokendir = $work/tokens" >"$work/softhsm2.conf"
	export SOFTHSM2_CONF=$work/softhsm2.conf
}

story() {
	heading "A CA with its key on a card"
	step 'cardctl sim create vault'
	step "cardctl init $VAULT --admin-pin env:DEMO_ADMIN_PIN --yes"
	step 'cardctl gen-key --reader sim:vault --key OPENPGP.1 --algorithm p256 --admin-pin env:DEMO_ADMIN_PIN'
	step "cardctl ca init desk-ca --subject 'CN=Desk CA,O=Example' --key OPENPGP.1 $VAULT"

	heading "Three others, with keys and certificates"
	blank_cards
	enrol 'OpenPGP card' openpgp "$FLOPPY" '--admin-pin env:DEMO_ADMIN_PIN'
	enrol 'PIV card' piv "$YUBI" '--management-key file:management.key'
	enrol 'SoftHSM2 token' token "$TOKEN" '--pin env:DEMO_PIN'
	step 'cardctl ca list desk-ca'

	heading "nginx asks for certificates of the CA"
	configure_nginx
	sign_crl
	start_nginx
	log_in openpgp accepted
	log_in piv accepted
	log_in token accepted

	heading "The PIV card is lost"
	step 'cardctl ca revoke desk-ca piv.pem --reason keyCompromise --yes'
	sign_crl
	stop "$nginx"
	start_nginx
	start_responder

	heading "What nginx does, and what OCSP says"
	log_in openpgp accepted
	ask_ocsp openpgp good
	log_in piv refused
	ask_ocsp piv revoked
	log_in token accepted
	ask_ocsp token good

	heading "In one line each"
	verdict 'OpenPGP card' openpgp
	verdict 'PIV card' piv
	verdict 'SoftHSM2 token' token
}

blank_cards() {
	step 'cardctl sim create floppy'
	step 'cardctl sim create yubi --applications piv --profile piv-yubikey-5'
	step 'cardctl sim attach floppy --address localhost:35963 &'
	started+=($!)
	step "cardctl list-readers --wait --reader 'Virtual PCD 00 00'"
	step 'cardctl sim attach yubi --address localhost:35964 &'
	started+=($!)
	step "cardctl list-readers --wait --reader 'Virtual PCD 00 01'"
	step "cardctl init --reader 'Virtual PCD 00 00' --yes --pin env:DEMO_PIN --admin-pin env:DEMO_ADMIN_PIN"
	step "cardctl init --reader 'Virtual PCD 00 01' --app piv --yes --pin env:DEMO_PIN --puk env:DEMO_ADMIN_PIN \\
    --generate-management-key management.key"
	step 'cardctl init --app pkcs11 --module softhsm2 --label desk --yes --so-pin env:DEMO_ADMIN_PIN --pin env:DEMO_PIN'
}

# enrol NAME FILE CARD WHO_WRITES generates a key on a card, and gets a certificate for it.
enrol() {
	local pin=
	[[ $4 == --pin* ]] || pin=' --pin env:DEMO_PIN'
	step "cardctl gen-key $3 --algorithm p256 $4"
	step "cardctl enroll $3 --subject 'CN=$1' $4$pin \\
    --issuer 'ca:desk-ca?profile=client' --issuer-reader sim:vault --issuer-pin env:DEMO_PIN"
	step "cardctl export-cert $3 --out $2.pem"
}

sign_crl() { step "cardctl ca crl desk-ca --days 30 $VAULT --out desk-ca.crl"; }

# free_port prints a port of this machine, from the given one on, where nobody listens.
free_port() {
	local port=$1
	while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
	echo "$port"
}

configure_nginx() {
	port=$(free_port 8443)
	step "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr \\
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2> openssl.log"
	step "cardctl ca issue desk-ca server.csr --profile server $VAULT --out server.pem"
	cat >nginx.conf <<-END
		daemon off;
		pid $work/nginx.pid;
		error_log $work/nginx.log info;
		events {}
		http {
			access_log off;
			client_body_temp_path $work/body;
			proxy_temp_path $work/proxy;
			fastcgi_temp_path $work/fastcgi;
			uwsgi_temp_path $work/uwsgi;
			scgi_temp_path $work/scgi;
			server {
				listen 127.0.0.1:$port ssl;
				ssl_certificate server.pem;
				ssl_certificate_key server.key;
				ssl_client_certificate desk-ca/ca.pem;
				ssl_crl desk-ca.crl;
				ssl_verify_client on;
				location / { return 200 "Welcome, \$ssl_client_s_dn\n"; }
			}
		}
	END
	step 'grep ssl_ nginx.conf'
	(umask 077 && printf %s "$DEMO_PIN" >pin) # without a line feed, for the engine
}

start_nginx() {
	step "nginx -e $work/nginx.log -c $work/nginx.conf &"
	nginx=$!
	started+=("$nginx")
	within_ten_seconds "nginx" listens "$port"
}

start_responder() {
	ocsp_port=$(free_port 8089)
	step 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ocsp.key'
	step 'openssl pkey -in ocsp.key -pubout -out ocsp.pub'
	step "cardctl ca issue desk-ca --public-key ocsp.pub --subject 'CN=Desk CA OCSP' --profile ocsp $VAULT --out ocsp.pem"
	step 'cardctl ca ocsp desk-ca --signer-key ocsp.key --days 7 --out answers'
	step "cardctl ca ocsp desk-ca --signer-key ocsp.key --listen 127.0.0.1:$ocsp_port &"
	started+=($!)
	within_ten_seconds "the OCSP responder" listens "$ocsp_port"
}

listens() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# within_ten_seconds WHAT COMMAND... waits until the command succeeds.
within_ten_seconds() {
	for _ in {1..100}; do
		! "${@:2}" || return 0
		sleep 0.1
	done
	[[ ! -s $work/nginx.log ]] || tail -n 5 "$work/nginx.log" >&2
	die "$1 did not start within ten seconds."
}

# log_in NAME accepted|refused has curl show the certificate of a card to nginx.
log_in() {
	local module=opensc-pkcs11.so uri
	case $1 in
	openpgp) uri='pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03' ;;
	piv) uri='pkcs11:manufacturer=piv_II;id=%01' ;;
	token)
		uri='pkcs11:token=desk;object=vpn'
		module=/usr/lib/softhsm/libsofthsm2.so
		;;
	esac
	step "PKCS11_MODULE_PATH=$module curl --silent --cacert desk-ca/ca.pem --cert $1.pem \\
    --engine pkcs11 --key-type ENG --key '$uri?pin-source=file:$work/pin' \\
    https://localhost:$port/ | tee page"
	case $2 in
	accepted) grep -q '^Welcome, CN=' page || die "nginx refused $1.pem." ;;
	refused)
		grep -q 'SSL certificate error' page || die "nginx did not refuse $1.pem."
		step 'grep -o "client SSL certificate verify error: ([^)]*)" nginx.log | tail -n 1 | tee error'
		grep -q '(23:certificate revoked)' error || die "nginx refused $1.pem for another reason."
		;;
	esac
	echo "$2 by nginx" >"$1.login"
}

# ask_ocsp NAME STATUS asks the responder about the certificate of a card.
ask_ocsp() {
	step "openssl ocsp -issuer desk-ca/ca.pem -CAfile desk-ca/ca.pem -no_nonce -url http://127.0.0.1:$ocsp_port/ \\
    -cert $1.pem 2> openssl.log | tee $1.status"
	grep -q 'Response verify OK' openssl.log || die "the answer about $1.pem does not verify."
	grep -qx "$1.pem: $2" "$1.status" || die "the answer about $1.pem is not $2."
}

# verdict NAME FILE prints what nginx did last, and what OCSP said.
verdict() {
	local said
	said=$(awk -F': ' 'NR == 1 { status = $2 } /Reason/ { status = status ", " $2 } END { print status }' "$2.status")
	printf '%-16s%-20sOCSP: %s\n' "$1" "$(<"$2.login")" "$said"
}
