#!/usr/bin/env bash
# Provisions an OpenPGP card from a CI job: first PINs, key, request, certificate,
# smoke test. It asks no questions, and can be run again after any failure.
#
# Required:
#   CARDCTL_PIN, CARDCTL_ADMIN_PIN   new user PIN and new admin PIN
#   PROVISION_SUBJECT                subject of the request, as in gen-csr --subject
#   PROVISION_SIGN                   shell command that reads the request from stdin and
#                                    writes the certificate, in PEM, to stdout
# Optional:
#   PROVISION_DIR                    folder that keeps certificates between runs (default .)
#   CARDCTL_READER, CARDCTL_SERIAL   selects a card, if several are connected
#   PROVISION_KEY                    key reference (default OPENPGP.3)
#   PROVISION_ALGORITHM              key algorithm (default p256 if the card supports it,
#                                    otherwise rsa2048)
#   PROVISION_EMAIL                  mail address for subjectAltName
#   PROVISION_CA                     file with the CA certificate to verify against
#   PROVISION_MODULE                 PKCS#11 module for the smoke test (default opensc)
#   PROVISION_ERASE=yes              erase a card that has keys or certificates
#   CARDCTL                          the program (default cardctl)
set -euo pipefail
# shellcheck source=scripts/lib/provision.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/provision.sh"

key=${PROVISION_KEY:-OPENPGP.3}
begin CARDCTL_PIN CARDCTL_ADMIN_PIN
look
initialise --app openpgp
certify --app openpgp
prove
