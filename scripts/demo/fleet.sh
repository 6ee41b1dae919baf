# shellcheck shell=bash disable=SC2034,SC2154 # variables are for and from demo.sh
# The demo of many cards: twelve cards of three families through four readers, from one
# plan and one table of people. Two cards are removed meanwhile, and inserted again.
needs='card fleet'
room_options=(--more-readers)

readonly READERS=('Virtual PCD 00 00' 'Virtual PCD 00 01' 'Yubico PCD 00 00' 'Yubico PCD 00 01')
readonly FIRST_PORT=35963 # of the virtual readers
readonly FAMILIES=(openpgp piv pkcs15)
attached=() # process ids, by the numbers of cards

prepare() { start_pcscd more-readers; }

story() {
	heading "A CA, and who can read the generated PINs"
	step "cardctl ca init desk-ca --subject 'CN=Desk CA,O=Example' --algorithm p256 --password env:DEMO_PIN"
	step 'age-keygen -o desk.key'

	heading "People, and what their cards are to be"
	people
	plan
	step 'cat staff.csv'
	step 'cat staff.yaml'

	heading "Twelve cards, four at a time; two of them are removed meanwhile"
	create openpgp ''
	create piv '--applications piv --profile piv-yubikey-5'
	create pkcs15 '--applications myeid'
	provision

	heading "What the ledger knows"
	step 'cardctl ledger list'
	step 'cardctl ledger verify'
	step 'cardctl ledger report --out desk.html'
	twelve
	page
}

people() {
	local family name i=0 names=(Ada Bob Cleo Dan Eve Fred Gina Hal Ida Joe Kim Leo)
	{
		echo mail,name,family
		for name in "${names[@]}"; do
			family=${FAMILIES[i++ % 3]}
			echo "${name,,}@example.com,\"$name Head, Jr.\",$family"
		done
	} >staff.csv
}

# plan writes what the cards are to be: each gets what is for its application.
plan() {
	local recipient
	recipient=$(age-keygen -y desk.key)
	cat >staff.yaml <<-END
		schema: cardctl/v1
		kind: Plan
		person: {id: "{{.mail}}", name: "{{.name}}"}
		card: {application: "{{.family}}"}
		pins:
		  user:  {generate: 8 digits, keep: letter}
		  admin: {generate: 10 digits, keep: ledger}
		  puk:   {generate: 8 digits, keep: ledger}
		  so:    {generate: 8 digits, keep: ledger}
		managementKey: {generate: management-key, keep: ledger}
		keys:
		  - ref: OPENPGP.3
		    algorithm: p256
		    certificate: &login {subject: "CN={{.name}},O=Example", email: ["{{.mail}}"], issuer: desk}
		  - {ref: PIV.9A, algorithm: p256, certificate: *login}
		  - {ref: PKCS15.45, algorithm: p256, certificate: *login}
		issuers:
		  desk: {url: "ca:desk-ca?profile=client", secret: env:DEMO_PIN}
		seal: [$recipient]
		smokeTest: {module: opensc, as: [openssl]}
	END
}

# create FAMILY OPTIONS makes four blank cards.
create() { step "for i in 0 1 2 3; do cardctl sim create $1-\$i --latency 5ms --quiet $2; done"; }

# provision has all cards provisioned, four at a time, as they come. The first two in the
# second reader are removed on the way, and inserted again.
provision() {
	local n pid
	for n in {0..3}; do put_in "$n"; done
	step 'cardctl provision staff.yaml --rows staff.csv --readers all --yes --no-input --timeout 3m > staff.done 2> staff.log &'
	pid=$!
	started+=("$pid")
	for n in {0..11}; do
		case $n in
		1) remove "$n" "key PIV.9A: done" ;;
		5) remove "$n" "PKCS15.45: done" ;;
		esac
		says "$n" '@example.com: done (' $((n / 4 + 1))
		((n > 7)) || {
			take_out "$n"
			put_in $((n + 4))
		}
	done
	wait "$pid" || die "cardctl provision failed:" "$(tail -n 60 staff.done)" "$(tail -n 20 staff.log)"
	step "grep -F '${READERS[1]}: ' staff.log"
	step 'tail -n 1 staff.done'
}

# card N is the name of a card; the kinds take turns.
card() { echo "${FAMILIES[$1 % 3]}-$(($1 / 3))"; }

# says N WHAT TIMES waits until the log says something of the reader of a card so often.
says() {
	for _ in {1..1200}; do
		(($(grep -F "${READERS[$1 % 4]}: " staff.log | grep -cF "$2") < $3)) || return 0
		sleep 0.05
	done
	die "$(card "$1"): no $2:" "$(cat staff.done)" "$(tail -n 20 staff.log)"
}

put_in() {
	cardctl sim attach "$(card "$1")" --address "localhost:$((FIRST_PORT + $1 % 4))" 2>"$1.attached" &
	attached[$1]=$!
	started+=("$!")
}

# take_out N waits until the PC/SC daemon has noticed.
take_out() {
	stop "${attached[$1]}"
	until cardctl list-readers --output json | grep -qF "\"name\":\"${READERS[$1 % 4]}\",\"cardPresent\":false"; do sleep 0.1; done
}

# remove N WHEN removes a card when the log says so, and inserts it again.
remove() {
	says "$1" "$2" 1
	printf '\n# %s is removed, and inserted again\n' "$(card "$1")"
	take_out "$1"
	put_in "$1"
}

# twelve ends the demo unless twelve cards are active.
twelve() {
	local active
	active=$(cardctl ledger list --state active --output json | grep -o '"serial"' | wc -l)
	((active == 12)) || die "$active of twelve cards are active."
	printf '\nTwelve cards are active.\n'
}

# page opens the report in a browser, which has to show the twelve.
page() {
	local sandbox=
	((EUID != 0)) || sandbox=' --no-sandbox' # Chromium has none for root
	step "HOME=\$PWD chromium --headless=new$sandbox --dump-dom \"file://\$PWD/desk.html\" > opened.html 2> chromium.log" ||
		die "Chromium did not open the report:" "$(tail -n 20 chromium.log)"
	(($(grep -oE '[a-z]+@example\.com' opened.html | sort -u | wc -l) == 12)) || die "The report does not show twelve persons."
	printf '\nThe report shows twelve persons.\n'
}
