# shellcheck shell=bash
# From a card to a certificate that works, without questions: the common part of the
# provision-*.sh. Every step first checks whether it is already done, so a second run
# resumes where the first one ended.
#
# The log is on stdout, one JSON document per line: {time, step, status, serial, result
# or error}. The status is done, skipped or failed; result and error are those of
# cardctl. The last line is for the step "provisioned", or for the one that failed. The
# exit status is that of the command that failed.

umask 077
unset CARDCTL_OUTPUT
serial=

# begin NAME… checks that these variables are set, and creates a scratch directory.
begin() {
	local name
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	command -v jq >/dev/null || {
		printf 'Error: jq is not installed\n' >&2
		exit 1
	}
	for name in "$@" PROVISION_SUBJECT PROVISION_SIGN; do
		[[ -n ${!name-} ]] || fail settings 2 "$name is not set"
	done
}

# record STEP STATUS [result|error] writes a line of the log, with the contents of that
# file.
record() {
	local kind=${3-}
	jq -cn --arg step "$1" --arg status "$2" --arg serial "$serial" --arg kind "$kind" \
		--slurpfile document "${kind:+$scratch/}${kind:-/dev/null}" \
		'{time: (now | todate), step: $step, status: $status}
		+ (if $serial == "" then {} else {serial: $serial} end)
		+ (if $document == [] then {} else {($kind): $document[0]} end)'
}

# fail STEP EXIT MESSAGE ends with an error that no command reported.
fail() {
	jq -n --argjson exit "$2" --arg message "$3" '{exit: $exit, message: $message}' >"$scratch/error"
	record "$1" failed error
	exit "$2"
}

# attempt COMMAND… keeps the output of a command, and returns its status.
attempt() {
	local status=0
	"$@" >"$scratch/result" 2>"$scratch/error" </dev/null || status=$?
	if ((status != 0)) && ! jq -es '.[0].exit' "$scratch/error" >/dev/null 2>&1; then
		jq -Rs --argjson exit "$status" '{exit: $exit, message: .}' "$scratch/error" >"$scratch/text"
		mv "$scratch/text" "$scratch/error"
	fi
	return "$status"
}

# outcome STEP STATUS ends a step, and the script if the status is not 0.
outcome() {
	if (($2 != 0)); then
		record "$1" failed error
		exit "$2"
	fi
	record "$1" "done" result
}

# step STEP COMMAND… runs a command that must succeed.
step() {
	local name=$1 status=0
	shift
	attempt "$@" || status=$?
	outcome "$name" "$status"
}

# ctl is cardctl without questions.
ctl() { "${CARDCTL:-cardctl}" --no-input --output json "$@"; }

# look FLAG… reads the contents of the card.
look() {
	local status=0
	attempt ctl info "$@" || status=$?
	((status == 0)) || outcome look "$status"
	mv "$scratch/result" "$scratch/card"
	serial=$(jq -r '.card.serial // ""' "$scratch/card")
}

# shellcheck disable=SC2154 # the script sets key
# on_card FILTER reports whether a jq filter holds for the contents of the card.
on_card() { jq -e --arg key "$key" "$1" "$scratch/card" >/dev/null; }

# shellcheck disable=SC2016 # $key is jq's
has_key() { on_card 'any(.keys[]; .ref == $key and .fingerprint != "")'; }

# initialise FLAG… erases a card and sets its first PINs. If the card has this key, it is
# left as it is; if it has others, it is refused. PROVISION_ERASE=yes erases it anyway.
initialise() {
	if [[ ${PROVISION_ERASE-} != yes ]]; then
		if has_key; then
			record init skipped
			return
		fi
		on_card '.keys == [] and .certificates == []' ||
			fail init 9 "the card has other keys or certificates; to erase them, set PROVISION_ERASE=yes"
	fi
	step init ctl init --yes "$@"
}

# certify FLAG… generates the key and stores its certificate. The flags are for info, to
# find the card.
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

# store_certificate FILE imports the certificate in FILE. It first requests one if the
# file is missing, or if its certificate belongs to a key that is no longer on the card.
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

# without_secrets COMMAND… runs another program. It gets none of cardctl's variables,
# which hold the PINs, nor the variable that is the source of the card keys.
without_secrets() (
	local name
	for name in "${!CARDCTL_@}"; do
		unset "$name"
	done
	[[ ${PROVISION_CARD_KEYS-} != env:* ]] || unset "${PROVISION_CARD_KEYS#env:}"
	"$@"
)

# request_certificate FILE has a certificate signed and keeps it in FILE, so that only
# one is issued even if later steps fail and are run again.
request_certificate() {
	local mail=()
	[[ -z ${PROVISION_EMAIL-} ]] || mail=(--email "$PROVISION_EMAIL")
	step gen-csr ctl gen-csr --key "$key" --subject "$PROVISION_SUBJECT" "${mail[@]}" --out "$scratch/request.pem"
	attempt without_secrets sh -c "exec <\"\$1\"; $PROVISION_SIGN" sh "$scratch/request.pem" || fail sign "$?" "$(jq -r .message "$scratch/error")"
	[[ -s $scratch/result ]] || fail sign 1 "PROVISION_SIGN returned no certificate"
	mv "$scratch/result" "$1"
	record sign "done"
}

# prove uses the key as a browser does. With a key that not every program can use in TLS,
# as an RSA key on some cards, the log says so, and the rest is proved.
prove() {
	local status=0 test=(ctl smoke-test --key "$key" --module "${PROVISION_MODULE:-opensc}")
	attempt "${test[@]}" --tls || status=$?
	if ((status == 7)); then
		record tls skipped error
		status=0
		attempt "${test[@]}" || status=$?
	fi
	outcome smoke-test "$status"
	record provisioned "done"
}
