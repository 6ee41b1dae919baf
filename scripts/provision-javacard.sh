#!/usr/bin/env bash
# Provisions a GlobalPlatform Java card from a CI job: installs the applet, and then
# runs provision-openpgp.sh or provision-pkcs15.sh. It asks no questions, and can be
# run again after any failure.
#
#   PROVISION_APPLET                 CAP or IJC file
#   PROVISION_CARD_KEYS              source of the card keys, as in --card-keys
#
# The other variables are those of the two scripts.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/provision.sh
. "$here/lib/provision.sh"

begin PROVISION_APPLET PROVISION_CARD_KEYS
step inspect ctl applet inspect "$PROVISION_APPLET"
package=$(jq -r .package.aid "$scratch/result")
step list ctl applet list --card-keys "$PROVISION_CARD_KEYS"
if jq -e --arg package "$package" 'any(.applications[]; .package == $package)' "$scratch/result" >/dev/null; then
	record install skipped
else
	replace=()
	if jq -e --arg package "$package" 'any(.packages[]; .aid == $package)' "$scratch/result" >/dev/null; then
		replace=(--replace --yes) # loaded, but not installed
	fi
	step install ctl applet install "$PROVISION_APPLET" --card-keys "$PROVISION_CARD_KEYS" "${replace[@]}"
fi

step look ctl info
application=$(jq -r '[.card.applications[].name | select(. == "openpgp" or . == "pkcs15")][0] // ""' "$scratch/result")
[[ -n $application ]] || fail look 7 "the applet is neither an OpenPGP nor a PKCS#15 card"
rm -rf "$scratch"
exec "$here/provision-$application.sh"
