#!/usr/bin/env bash
# Draws docs/pictures/*.svg: a session on a simulated card as a terminal shows it,
# and the drawings that scripts/pictures/*.txt describe.
#
# A session has other keys, serials and times in each run. Its picture is written
# only if something else in it is new.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# titles are what a person hears who cannot see a picture.
declare -A titles=(
	[way]="From a blank card to a certificate that works in a browser, a VPN and a mail program"
	[who]="Who talks to whom between a card and the programs that use it"
	[session]="A session: PINs, a key, a request and a certificate on a simulated card"
)

# drawn draws what a file describes.
drawn() { awk -v title="${titles[$1]}" -f scripts/pictures/drawing.awk "scripts/pictures/$1.txt" >"docs/pictures/$1.svg"; }

# typed shows a command line and what it prints.
typed() {
	printf '$ %s\n' "$1"
	eval "$1" </dev/null 2>&1
	printf '\n'
}

# session is what the picture shows.
session() {
	export CARDCTL_STATE_DIR=$work/state
	cd "$work"
	cardctl sim create desk --serial 12345678 >/dev/null
	typed 'export CARDCTL_READER=sim:desk CARDCTL_PIN=648219 CARDCTL_ADMIN_PIN=73915824'
	typed 'cardctl init --yes'
	typed 'cardctl gen-key --key OPENPGP.3'
	typed 'cardctl gen-csr --key OPENPGP.3 --subject CN=me --out me.csr'
	printf '# Your CA signs me.csr. The answer is me.pem.\n\n'
	authority
	typed 'cardctl import-cert --key OPENPGP.3 --ca ca.pem me.pem'
}

# authority is the CA.
authority() {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Snake Oil CA'
	openssl x509 -req -in me.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -out me.pem
} 2>"$work/openssl.log"

# same prints a picture without keys, serials and times.
same() { sed -E 's/[0-9A-F]{8,}/KEY/g; s/[0-9-]{10}T[0-9:]{8}Z/TIME/g' "$1"; }

need build
need_go
go build -o "$work/bin/cardctl" ./cmd/cardctl
PATH=$work/bin:$PATH

drawn way
drawn who
(session) >"$work/session.txt"
sed '$d' "$work/session.txt" | awk -v title="${titles[session]}" -f scripts/pictures/terminal.awk >"$work/session.svg"
picture=docs/pictures/session.svg
if [[ -e $picture ]] && cmp -s <(same "$picture") <(same "$work/session.svg"); then
	say "$picture stays: only keys, serials and times are new."
else
	cp "$work/session.svg" "$picture"
	say "$picture is new."
fi
