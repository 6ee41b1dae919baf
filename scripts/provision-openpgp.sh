#!/usr/bin/env bash
# Provisions an OpenPGP card from a CI job: first PINs, key, request, certificate,
# smoke test. Asks nobody, and can be called again after any failure.
#
#   CARDCTL_PIN, CARDCTL_ADMIN_PIN   the PINs that the card shall have
#   PROVISION_SUBJECT                subject of the request, as in gen-csr --subject
#   PROVISION_SIGN                   shell command that reads the request from stdin, and
#                                    writes the certificate, in PEM, to stdout
#   PROVISION_DIR                    where certificates are kept from call to call (.)
#   CARDCTL_READER, CARDCTL_SERIAL   which card, where there are several
#   PROVISION_KEY                    reference of the key (OPENPGP.3)
#   PROVISION_ALGORITHM              of the key (p256 where the card can, else rsa2048)
#   PROVISION_EMAIL                  mail address for subjectAltName
#   PROVISION_CA                     file with the CA that the certificate has to be of
#   PROVISION_MODULE                 PKCS#11 module of the smoke test (opensc)
#   PROVISION_ERASE=yes              erase a card with keys or certificates on it
#   CARDCTL                          the program (cardctl)
set -euo pipefail
# shellcheck source=scripts/lib/provision.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/provision.sh"

key=${PROVISION_KEY:-OPENPGP.3}
begin CARDCTL_PIN CARDCTL_ADMIN_PIN
look
initialise --app openpgp
certify --app openpgp
prove
