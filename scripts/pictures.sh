#!/usr/bin/env bash
# Draws docs/pictures/*.svg: a session on a simulated card as a terminal shows it,
# and the drawings that scripts/pictures/*.txt describe.
#
#   ./scripts/pictures.sh           draws them
#   ./scripts/pictures.sh --check   fails if one would be new, and draws none
#
# A session has other keys, serials and times in each run. They alone make no new
# picture.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh

check=${1-}
[[ $# -eq 0 || $* == --check ]] || die "usage: ./scripts/pictures.sh [--check]"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# titles are what a person hears who cannot see a picture.
declare -A titles=(
	[way]="From a blank card to a certificate that works in a browser, a VPN and a mail program"
	[who]="Who talks to whom between a card and the programs that use it"
	[session]="A session: PINs, a key, a request and a certificate on a simulated card"
)

# drawn draws NAME with one of the programs here, from FILE.
drawn() { LC_ALL=C awk -v title="${titles[$1]}" -f "scripts/pictures/$2.awk" "$3" >"$work/$1.svg"; }

# typed shows a command line and what it prints.
typed() {
	printf '$ %s\n' "$1"
	eval "$1" </dev/null 2>&1
	printf '\n'
}

# session is a session as its picture shows it.
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

# lasting prints what stays the same of a picture.
lasting() { sed -E 's/[0-9A-F]{8,}/KEY/g; s/[0-9-]{10}T[0-9:]{8}Z/TIME/g' "$1"; }

need build
need_go
go build -o "$work/bin/cardctl" ./cmd/cardctl
PATH=$work/bin:$PATH

drawn way drawing scripts/pictures/way.txt
drawn who drawing scripts/pictures/who.txt
(session) | sed '$d' >"$work/session.txt"
drawn session terminal "$work/session.txt"

for name in way who session; do
	picture=docs/pictures/$name.svg
	if [[ -e $picture ]] && cmp -s <(lasting "$picture") <(lasting "$work/$name.svg"); then
		say "$picture is up to date."
	elif [[ -n $check ]]; then
		diff -U0 "$picture" "$work/$name.svg" >&2 || true
		die "$picture is stale: run ./scripts/pictures.sh."
	else
		cp "$work/$name.svg" "$picture"
		say "$picture is new."
	fi
done
