#!/usr/bin/env bash
# Provisions a PKCS#15 card from a CI job: file system, PINs, key, request,
# certificate, smoke test. It asks no questions, and can be run again after any failure.
#
#   CARDCTL_PIN, CARDCTL_PUK         new user PIN and new PUK
#   CARDCTL_SO_PIN                   new SO PIN, if the card has one
#   PROVISION_LABEL                  label of the card (default cardctl)
#   PROVISION_KEY                    key reference (default PKCS15.45)
#
# The other variables are those of provision-openpgp.sh.
set -euo pipefail
# shellcheck source=scripts/lib/provision.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/provision.sh"

key=${PROVISION_KEY:-PKCS15.45}
begin CARDCTL_PIN CARDCTL_PUK
look --app pkcs15
# A card that was provisioned before has this PUK. An IsoApplet does not report its
# tries; a wrong PUK uses up only one, because the script stops then.
initialise --app pkcs15 --allow-unknown-tries --label "${PROVISION_LABEL:-cardctl}"
certify --app pkcs15
prove
