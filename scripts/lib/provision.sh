# shellcheck shell=bash
# From a card to a certificate on it that works, without anybody to ask: what
# the provision-*.sh have in common. Every step looks first whether it is done,
# so that the same call again goes on where another ended.
#
# The log is on stdout, a JSON document a line: {time, step, status, serial, result
# or error}, where status is done, skipped or failed, and result and error are
# those of cardctl. The last line is that of the step "provisioned", or of the one
# that failed. The exit status is that of the command that failed.

umask 077
unset CARDCTL_OUTPUT
serial=

# begin NAME… wants these variables, and a place to work in.
begin() {
	local name
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	command -v jq >/dev/null || {
		printf 'Error: jq is missing\n' >&2
		exit 1
	}
	for name in "$@" PROVISION_SUBJECT PROVISION_SIGN; do
		[[ -n ${!name-} ]] || fail settings 2 "$name is not set"
	done
}

# record STEP STATUS [result|error] writes a line of the log, with what is in the
# file of that kind.
record() {
	local kind=${3-}
	jq -cn --arg step "$1" --arg status "$2" --arg serial "$serial" --arg kind "$kind" \
		--slurpfile document "${kind:+$scratch/}${kind:-/dev/null}" \
		'{time: (now | todate), step: $step, status: $status}
		+ (if $serial == "" then {} else {serial: $serial} end)
		+ (if $document == [] then {} else {($kind): $document[0]} end)'
}

# fail STEP EXIT MESSAGE ends with an error that is no command's.
fail() {
	jq -n --argjson exit "$2" --arg message "$3" '{exit: $exit, message: $message}' >"$scratch/error"
	record "$1" failed error
	exit "$2"
}

# attempt COMMAND… keeps what a command writes, and returns its status.
attempt() {
	local status=0
	"$@" >"$scratch/result" 2>"$scratch/error" </dev/null || status=$?
	if ((status != 0)) && ! jq -es '.[0].exit' "$scratch/error" >/dev/null 2>&1; then
		jq -Rs --argjson exit "$status" '{exit: $exit, message: .}' "$scratch/error" >"$scratch/text"
		mv "$scratch/text" "$scratch/error"
	fi
	return "$status"
}

# outcome STEP STATUS is the end of a step: of everything, if the status is not 0.
outcome() {
	if (($2 != 0)); then
		record "$1" failed error
		exit "$2"
	fi
	record "$1" "done" result
}

# step STEP COMMAND… runs a command that has to succeed.
step() {
	local name=$1 status=0
	shift
	attempt "$@" || status=$?
	outcome "$name" "$status"
}

# ctl is cardctl that asks nobody.
ctl() { "${CARDCTL:-cardctl}" --no-input --output json "$@"; }

# look FLAG… reads what is on the card.
look() {
	local status=0
	attempt ctl info "$@" || status=$?
	((status == 0)) || outcome look "$status"
	mv "$scratch/result" "$scratch/card"
	serial=$(jq -r '.card.serial // ""' "$scratch/card")
}

# shellcheck disable=SC2154 # key is the script's
# on_card FILTER says whether a jq filter holds for what is on the card.
on_card() { jq -e --arg key "$key" "$1" "$scratch/card" >/dev/null; }

# shellcheck disable=SC2016 # $key is jq's
has_key() { on_card 'any(.keys[]; .ref == $key and .fingerprint != "")'; }

# initialise FLAG… erases a card, and gives it its first PINs. One with keys or
# certificates is left as it is, or refused, unless PROVISION_ERASE=yes.
initialise() {
	if [[ ${PROVISION_ERASE-} != yes ]]; then
		if has_key; then
			record init skipped
			return
		fi
		on_card '.keys == [] and .certificates == []' ||
			fail init 9 "the card has other keys or certificates; PROVISION_ERASE=yes erases them"
	fi
	step init ctl init --yes "$@"
}

# certify FLAG… makes the key and stores its certificate; the flags say what info
# needs to find the card.
certify() {
	local algorithm=()
	[[ -z ${PROVISION_ALGORITHM-} ]] || algorithm=(--algorithm "$PROVISION_ALGORITHM")
	look "$@"
	if has_key; then
		record gen-key skipped
	else
		step gen-key ctl gen-key --key "$key" "${algorithm[@]}"
	fi
	store_certificate "${PROVISION_DIR:-.}/${serial//[^A-Za-z0-9]/_}-${key//[^A-Za-z0-9]/_}.pem"
}

# store_certificate FILE stores the certificate in FILE. That is asked for where there
# is none, or one of a key that is not on the card any more.
store_certificate() {
	local status=0
	if [[ -s $1 ]]; then
		import_certificate "$1" || status=$?
		((status == 8)) || {
			outcome import-cert "$status"
			return
		}
	fi
	request_certificate "$1"
	status=0
	import_certificate "$1" || status=$?
	outcome import-cert "$status"
}

import_certificate() {
	local ca=()
	[[ -z ${PROVISION_CA-} ]] || ca=(--ca "$PROVISION_CA")
	attempt ctl import-cert --key "$key" "${ca[@]}" "$1"
}

# without_secrets COMMAND… runs a program of others. It gets none of cardctl's
# variables, which hold the PINs, nor one that a source of card keys names.
without_secrets() (
	local name
	for name in "${!CARDCTL_@}"; do
		unset "$name"
	done
	[[ ${PROVISION_CARD_KEYS-} != env:* ]] || unset "${PROVISION_CARD_KEYS#env:}"
	"$@"
)

# request_certificate FILE has a certificate signed. It is kept, so that one is issued
# however often what comes after it fails.
request_certificate() {
	local mail=()
	[[ -z ${PROVISION_EMAIL-} ]] || mail=(--email "$PROVISION_EMAIL")
	step gen-csr ctl gen-csr --key "$key" --subject "$PROVISION_SUBJECT" "${mail[@]}" --out "$scratch/request.pem"
	attempt without_secrets sh -c "exec <\"\$1\"; $PROVISION_SIGN" sh "$scratch/request.pem" || fail sign "$?" "$(jq -r .message "$scratch/error")"
	[[ -s $scratch/result ]] || fail sign 1 "PROVISION_SIGN wrote no certificate"
	mv "$scratch/result" "$1"
	record sign "done"
}

# prove uses the key as a browser would.
prove() {
	step smoke-test ctl smoke-test --key "$key" --module "${PROVISION_MODULE:-opensc}" --tls
	record provisioned "done"
}
