# shellcheck shell=bash
# Records with which versions of other programs the tests ran, in docs/tested.md and
# README.md. Needs say.sh.

# One per line: program | Debian package. The first three stand in README too.
readonly VERSIONED='
OpenSC|opensc
GnuPG|scdaemon
OpenSSL|openssl
OpenSSL engine for PKCS#11|libengine-pkcs11-openssl
OpenSSL provider for PKCS#11|pkcs11-provider
PC/SC daemon|pcscd
Virtual reader|vsmartcard-vpcd
p11-kit|p11-kit
Scute|scute
yubico-piv-tool|yubico-piv-tool
ykcs11|ykcs11
SoftHSM2|softhsm2
TPM module (tpm2-pkcs11)|libtpm2-pkcs11-1
TPM in software (swtpm)|swtpm
TPM tools|tpm2-tools
GnuTLS|gnutls-bin
NSS tools|libnss3-tools
OpenVPN|openvpn
strongSwan|strongswan-pki
OpenSSH|openssh-client
Firefox ESR|firefox-esr
Chromium|chromium
curl|curl
Wget|wget
nginx|nginx
Apache|apache2-bin
wpa_supplicant|wpasupplicant
'

# versions prints the system, the programs with their versions, yubikey-manager and Go,
# with tabs between.
versions() {
	local program package
	printf 'system\t%s\n' "$(sed -n 's/^PRETTY_NAME="\(.*\) GNU\/Linux \([0-9]*\).*/\1 \2/p' /etc/os-release)"
	while IFS='|' read -r program package; do
		[[ -z $program ]] || printf '%s\t%s\n' "$program" "$(version_of "$package")"
	done <<<"$VERSIONED"
	printf 'yubikey-manager\t%s\n' "$(sed -n 's/^yubikey-manager==\([^ ]*\).*/\1/p' scripts/lib/ykman.txt)"
	printf 'Go\t%s\n' "$(go env GOVERSION | sed 's/^go//')"
}

# version_of PACKAGE prints its version without what Debian adds, or none.
version_of() {
	local version
	version=$(dpkg-query --show --showformat '${Version}' "$1" 2>/dev/null) || version=none
	[[ -n $version ]] || version=none
	sed 's/^[0-9]*://; s/[-+~].*//' <<<"$version"
}

# write_versions FILE FILE writes what versions printed on the two systems into the
# documents.
write_versions() {
	between docs/tested.md "$VERSIONS_MARK" < <(paste "$1" "$2" | awk -F'\t' '
		NR == 1 { printf "| program | %s | %s |\n|---|---|---|\n", $2, $4; next }
		{ printf "| %s | %s | %s |\n", $1, $2, $4 }')
	between README.md "$VERSIONS_MARK" < <(
		printf 'The [tests](docs/tested.md) ran on %s\nand on %s.\n' "$(in_a_line "$1")" "$(in_a_line "$2")"
	)
}

# in_a_line prints a system and the programs that README names.
in_a_line() {
	awk -F'\t' '
		NR == 1 { printf "%s (", $2; next }
		NR <= 4 { printf "%s%s %s", comma, $1, $2; comma = ", " }
		END { print ")" }' "$1" | tr -d '\n'
}

readonly VERSIONS_MARK='<!-- versions -->' # before and after what is written

# between_marks FILE MARK prints what is written there.
between_marks() { sed -n "/^$2\$/,/^$2\$/{ /^$2\$/d; p; }" "$1"; }

# between FILE MARK replaces the lines between the two marks in a file by its input.
between() {
	local new
	new=$(awk -v mark="$2" '
		NR == FNR { lines = lines $0 "\n"; next }
		!inside { print }
		$0 == mark && !inside { printf "%s", lines; marks++; inside = 1; next }
		$0 == mark { print; marks++; inside = 0 }
		END { exit marks != 2 }' - "$1") || die "$1 has not the line $2 twice."
	printf '%s\n' "$new" >"$1"
}
