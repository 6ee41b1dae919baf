# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo of many cards: twelve cards of three families through four readers, from one
# table of people. Two cards are removed meanwhile, and inserted again.
needs='card fleet'
room_options=(--more-readers)

readonly READERS=('Virtual PCD 00 00' 'Virtual PCD 00 01' 'Yubico PCD 00 00' 'Yubico PCD 00 01')
readonly FIRST_PORT=35963 # of the virtual readers
declare -A attached       # process ids, by the names of cards

prepare() { start_pcscd more-readers; }

story() {
	heading "A CA, and who can read the generated PINs"
	step "cardctl ca init desk-ca --subject 'CN=Desk CA,O=Example' --algorithm p256 --password env:DEMO_PIN"
	step 'age-keygen -o desk.key'

	heading "People, and what their cards are to be"
	people
	plan openpgp OPENPGP.3 '
  user:  {generate: 8 digits, keep: letter}
  admin: {generate: 10 digits, keep: ledger}' ''
	plan piv PIV.9A '
  user: {generate: 8 digits, keep: letter}
  puk:  {generate: 8 digits, keep: ledger}' '
managementKey: {generate: management-key, keep: ledger}'
	plan pkcs15 PKCS15.45 '
  user: {generate: 8 digits, keep: letter}
  puk:  {generate: 8 digits, keep: ledger}
  so:   {generate: 8 digits, keep: ledger}' ''
	step 'cat staff.csv'
	step 'cat piv.yaml'

	heading "Four OpenPGP cards, one of which is removed meanwhile"
	provision openpgp '' 'key OPENPGP.3: done'
	heading "Four PIV cards, one of which is removed meanwhile"
	provision piv '--applications piv --profile piv-yubikey-5' 'certificate PIV.9A: done'
	heading "Four PKCS#15 cards"
	provision pkcs15 '--applications myeid' ''

	heading "What the ledger knows"
	step 'cardctl ledger list'
	step 'cardctl ledger verify'
	step 'cardctl ledger report --out desk.html'
	twelve
}

people() {
	local family names=(Ada Bob Cleo Dan Eve Fred Gina Hal Ida Joe Kim Leo) i=0
	{
		echo mail,name,family
		for family in openpgp piv pkcs15; do
			for _ in {1..4}; do
				echo "${names[i],,}@example.com,\"${names[i]} Head, Jr.\",$family"
				i=$((i + 1))
			done
		done
	} >staff.csv
}

# plan FAMILY KEY PINS MORE writes what the cards of a family are to be.
plan() {
	local recipient
	recipient=$(age-keygen -y desk.key)
	cat >"$1.yaml" <<-END
		schema: cardctl/v1
		kind: Plan
		person: {id: "{{.mail}}", name: "{{.name}}"}
		card: {application: $1}
		pins:$3$4
		keys:
		  - ref: $2
		    algorithm: p256
		    certificate: {subject: "CN={{.name}},O=Example", email: ["{{.mail}}"], issuer: desk}
		issuers:
		  desk: {url: "ca:desk-ca?profile=client", secret: env:DEMO_PIN}
		seal: [$recipient]
		smokeTest: {module: opensc, as: [openssl]}
	END
}

# provision FAMILY CREATE PULL has four cards of a family provisioned. The card in the second
# reader is removed when PULL is reported, and inserted again.
provision() {
	local i
	step "for i in 0 1 2 3; do cardctl sim create $1-\$i --latency 5ms --quiet $2; done"
	for i in {0..3}; do put_in "$1-$i" "$i"; done
	for i in {0..3}; do cardctl list-readers --wait --reader "${READERS[i]}" --timeout 20s >seen; done
	step "grep -e ^mail -e ,$1\$ staff.csv > $1.csv"
	step "cardctl provision $1.yaml --rows $1.csv --readers all --yes --no-input --timeout 1m > $1.done 2> $1.log &"
	local pid=$!
	started+=("$pid")
	[[ -z $3 ]] || pull "$1-1" 1 "$1.log" "$3"
	wait "$pid" || die "cardctl provision failed:" "$(tail -n 60 "$1.done")" "$(tail -n 20 "$1.log")"
	step "grep -F '${READERS[1]}: ' $1.log"
	step "tail -n 1 $1.done"
	for i in {0..3}; do take_out "$1-$i" "$i"; done
}

put_in() {
	cardctl sim attach "$1" --address "localhost:$((FIRST_PORT + $2))" 2>"$1.attached" &
	attached[$1]=$!
	started+=("${attached[$1]}")
}

# take_out CARD READER waits until the PC/SC daemon has noticed.
take_out() {
	stop "${attached[$1]}"
	until cardctl list-readers --output json | grep -qF "\"name\":\"${READERS[$2]}\",\"cardPresent\":false"; do sleep 0.1; done
}

# pull CARD READER LOG WHEN removes a card when the log says so, and inserts it again.
pull() {
	for _ in {1..600}; do
		! grep -qF "${READERS[$2]}: " "$3" || ! grep -F "${READERS[$2]}: " "$3" | grep -qF ": $4" || break
		sleep 0.05
	done
	printf '\n# %s is removed, and inserted again\n' "$1"
	take_out "$1" "$2"
	put_in "$1" "$2"
}

# twelve ends the demo unless twelve cards are active.
twelve() {
	local active
	active=$(cardctl ledger list --state active --output json | grep -o '"serial"' | wc -l)
	((active == 12)) || die "$active of twelve cards are active."
	printf '\nTwelve cards are active.\n'
}
