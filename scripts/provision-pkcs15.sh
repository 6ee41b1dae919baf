#!/usr/bin/env bash
# Provisions a PKCS#15 card from a CI job: file system, PINs, key, request,
# certificate, smoke test. Asks nobody, and can be called again after any failure.
#
#   CARDCTL_PIN, CARDCTL_PUK         PIN and PUK that the card shall have
#   CARDCTL_SO_PIN                   its SO PIN, where it has one
#   PROVISION_LABEL                  label of the card (cardctl)
#   PROVISION_KEY                    reference of the key (PKCS15.45)
#
# and the rest as for provision-openpgp.sh.
set -euo pipefail
# shellcheck source=scripts/lib/provision.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/provision.sh"

key=${PROVISION_KEY:-PKCS15.45}
begin CARDCTL_PIN CARDCTL_PUK
look --app pkcs15
# A card that was here before has the PUK, whose tries an IsoApplet does not tell; a
# wrong one costs one of them, for nothing goes on after it.
initialise --app pkcs15 --allow-unknown-tries --label "${PROVISION_LABEL:-cardctl}"
certify --app pkcs15
prove
