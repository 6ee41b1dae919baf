# shellcheck shell=bash
# Installs the programs and libraries that the scripts need, on Debian. Needs say.sh.

# One per line: group | what it is | how to check that it is installed | Debian package.
readonly NEEDS='
build|a C compiler|have gcc|gcc
build|C library headers|have_file /usr/include/stdio.h|libc6-dev
build|pkg-config|have pkg-config|pkg-config
build|PC/SC headers (libpcsclite)|pkg-config --exists libpcsclite|libpcsclite-dev
card|PC/SC daemon (pcscd)|have pcscd|pcscd
card|virtual reader (vsmartcard vpcd)|have_file pcsc/drivers/serial/libifdvpcd.so|vsmartcard-vpcd
card|OpenSC tools (pkcs11-tool and others)|have pkcs11-tool|opensc
card|OpenSC PKCS#11 module|have_file opensc-pkcs11.so|opensc-pkcs11
card|p11-kit|have p11-kit|p11-kit
card|OpenSSL|have openssl|openssl
test|yubico-piv-tool|have yubico-piv-tool|yubico-piv-tool
test|ykcs11, a PKCS#11 module|have_file libykcs11.so.2|ykcs11
test|Python, to make virtual environments|/usr/bin/python3 -m ensurepip --version|python3-venv
test|PC/SC for Python (pyscard)|have_file python3/dist-packages/smartcard/__init__.py|python3-pyscard
test|GnuPG (gpg)|have gpg|gpg
test|GnuPG (gpg-agent)|have gpg-agent|gpg-agent
test|GnuPG (gpgsm)|have gpgsm|gpgsm
test|GnuPG (scdaemon)|have_file gnupg/scdaemon scdaemon|scdaemon
token|OpenSSL|have openssl|openssl
token|SoftHSM|have softhsm2-util|softhsm2
fleet|age, to generate its keys (age-keygen)|have age-keygen|age
fleet|Chromium|have chromium|chromium
test|age, to generate its keys (age-keygen)|have age-keygen|age
agent|p11-kit-client.so|have_file pkcs11/p11-kit-client.so|p11-kit-modules
agent|OpenSSH client|have ssh-keygen|openssh-client
agent|GnuPG (gpg)|have gpg|gpg
agent|GnuPG (gpg-agent)|have gpg-agent|gpg-agent
agent|GnuPG (scdaemon)|have_file gnupg/scdaemon scdaemon|scdaemon
agent|engine of OpenSSL for PKCS#11|have_file engines-3/pkcs11.so|libengine-pkcs11-openssl
web|nginx|have nginx|nginx
web|curl|have curl|curl
web|engine of OpenSSL for PKCS#11|have_file engines-3/pkcs11.so|libengine-pkcs11-openssl
test|TPM in software (swtpm)|have swtpm|swtpm
test|TPM resource manager|have tpm2-abrmd|tpm2-abrmd
test|TPM tools (tpm2_getcap)|have tpm2_getcap|tpm2-tools
test|TPM transport to swtpm|have_file libtss2-tcti-swtpm.so.0|libtss2-tcti-swtpm0
test|TPM transport to the resource manager|have_file libtss2-tcti-tabrmd.so.0|libtss2-tcti-tabrmd0
test|TPM PKCS#11 module|have_file libtpm2_pkcs11.so|libtpm2-pkcs11-1
test|D-Bus, for the TPM resource manager|have dbus-daemon|dbus-daemon
test|Scute PKCS#11 module|have_file scute/scute.so scute.so|scute
test|GnuTLS tools (certtool)|have certtool|gnutls-bin
test|NSS tools (pk12util)|have pk12util|libnss3-tools
test|Java keytool|have keytool|default-jre-headless
test|OpenSSL engine for PKCS#11|have_file engines-3/pkcs11.so engines-1.1/pkcs11.so|libengine-pkcs11-openssl
test|OpenSSL provider for PKCS#11|have_provider|pkcs11-provider
test|OpenVPN|have openvpn|openvpn
test|keys of strongSwan (pki)|have pki|strongswan-pki
test|PKCS#11 for strongSwan|have_file ipsec/plugins/libstrongswan-pkcs11.so|libstrongswan-extra-plugins
test|OpenSSL for strongSwan|have_file ipsec/plugins/libstrongswan-openssl.so|libstrongswan-standard-plugins
test|OpenSSH client (ssh-keygen)|have ssh-keygen|openssh-client
test|OpenSSH server|have_file /usr/sbin/sshd|openssh-server
test|Git|have git|git
test|curl|have curl|curl
test|easy-rsa|have_file /usr/share/easy-rsa/easyrsa|easy-rsa
test|bash-completion|have_file /usr/share/bash-completion/bash_completion|bash-completion
test|jq|have jq|jq
test|systemd, to start the agent by its sockets|have systemd-socket-activate|systemd
programs|OpenSC PKCS#11 module with one PIN|have_file onepin-opensc-pkcs11.so|opensc-pkcs11
programs|NSS tools (certutil, modutil)|have modutil|libnss3-tools
programs|Firefox|have firefox-esr|firefox-esr
programs|Thunderbird|have thunderbird|thunderbird
programs|Chromium|have chromium|chromium
programs|npm, for axe-core|have npm|npm
programs|sandbox of Chromium, if it cannot make namespaces|have_file chromium/chrome-sandbox|chromium-sandbox
programs|a screen in memory (Xvfb)|have Xvfb|xvfb
programs|xdotool, to type into windows|have xdotool|xdotool
programs|ImageMagick, for pictures of a screen|have import|imagemagick
programs|GnuPG (gpg)|have gpg|gpg
programs|GnuPG (gpg-agent)|have gpg-agent|gpg-agent
programs|GnuPG (gpgsm)|have gpgsm|gpgsm
programs|GnuPG (scdaemon)|have_file gnupg/scdaemon scdaemon|scdaemon
programs|GnuPG on PKCS#11|have gnupg-pkcs11-scd|gnupg-pkcs11-scd
programs|Scute PKCS#11 module|have_file scute/scute.so scute.so|scute
programs|curl|have curl|curl
programs|Wget|have wget|wget
programs|nginx|have nginx|nginx
programs|polkit (polkitd, pkcheck)|have pkcheck|polkitd
programs|systemd, to read its units|have systemd-analyze|systemd
programs|Apache, as Debian configures it|have_file /etc/apache2/envvars|apache2
programs|JDK (jarsigner)|have jarsigner|default-jdk-headless
programs|stunnel|have stunnel|stunnel4
programs|strongSwan (charon-systemd)|have charon-systemd|charon-systemd
programs|control of strongSwan (swanctl)|have swanctl|strongswan-swanctl
programs|PKCS#11 for strongSwan|have_file ipsec/plugins/libstrongswan-pkcs11.so|libstrongswan-extra-plugins
programs|OpenSSL for strongSwan|have_file ipsec/plugins/libstrongswan-openssl.so|libstrongswan-standard-plugins
programs|git|have git|git
programs|OpenSSH client|have ssh|openssh-client
programs|engine of OpenSSL for PKCS#11|have_file engines-3/pkcs11.so|libengine-pkcs11-openssl
programs|wpa_supplicant|have_file /usr/sbin/wpa_supplicant|wpasupplicant
programs|eapol_test, of wpa_supplicant|have eapol_test|eapoltest
programs|hostapd|have_file /usr/sbin/hostapd|hostapd
programs|OpenSSH server|have_file /usr/sbin/sshd|openssh-server
room|ip, for the networks of rooms|have ip|iproute2
test|PostgreSQL|have_file /usr/lib/postgresql/*/bin/initdb|postgresql
test|shellcheck|have shellcheck|shellcheck
package|git|have git|git
package|jq|have jq|jq
package|C compiler for amd64|have x86_64-linux-gnu-gcc|gcc
package|C compiler for arm64|have aarch64-linux-gnu-gcc|gcc-aarch64-linux-gnu
package|C library for arm64|have_file /usr/aarch64-linux-gnu/include/stdio.h|libc6-dev-arm64-cross
package|PC/SC for arm64|have_file /usr/lib/aarch64-linux-gnu/libpcsclite.so|libpcsclite-dev:arm64
windows|C compiler for Windows|have x86_64-w64-mingw32-gcc|gcc-mingw-w64-x86-64-win32
package|rpm, to inspect packages|have rpm|rpm
package|zstd, to inspect packages|have zstd|zstd
package|an emulator of arm64|have qemu-aarch64|qemu-user
package|musl, the C library of Alpine|have_file /lib/ld-musl-x86_64.so.1|musl
windows|Wine|have_file wine/wine64|wine64
package|man|have man|man-db
package|bash-completion|have_file /usr/share/bash-completion/bash_completion|bash-completion
test|mandoc|have mandoc|mandoc
test|headers of Windows|have_file /usr/share/mingw-w64/include/winerror.h|mingw-w64-common
debian|debootstrap|have debootstrap|debootstrap
'

# have_file reports whether one of the files exists, by its full name or in a directory
# for libraries.
have_file() {
	local dir name
	for name in "$@"; do
		for dir in '' /usr/lib /usr/lib/*-linux-gnu* /usr/lib64 /usr/libexec /usr/local/lib; do
			[[ -e $dir/$name || -e $dir/pkcs11/$name ]] && return 0
		done
	done
	return 1
}

# have_provider is also true if this release of Debian has no provider, such as Debian 12.
have_provider() { have_file ossl-modules/pkcs11.so || ! apt-cache show pkcs11-provider; }

# missing prints what is not installed of the given groups: what it is, a tab, its Debian
# package.
missing() {
	local group what probe package
	while IFS='|' read -r group what probe package; do
		[[ -n $group && " $* " == *" $group "* ]] || continue
		$probe >/dev/null 2>&1 || printf '%s\t%s\n' "$what" "$package"
	done <<<"$NEEDS"
}

# need installs what is missing of the given groups.
need() {
	local lacking packages
	lacking=$(missing "$@")
	[[ -n $lacking ]] || return 0
	have apt-get || die "the following is missing, and there is no apt to install it:" \
		"$(awk -F'\t' '{ print "  " $1 " (Debian package " $2 ")" }' <<<"$lacking")" \
		"Install it with your package manager, then run this script again."
	mapfile -t packages < <(cut -f2 <<<"$lacking" | sort -u)
	say "Installing ${packages[*]}"
	need_architectures "${packages[@]}"
	apt_get update
	apt_get install -y --no-install-recommends "${packages[@]}"
	lacking=$(missing "$@")
	[[ -z $lacking ]] || die "still missing after the installation:" "$lacking"
}

# need_architectures adds the architectures of packages such as libpcsclite-dev:arm64 to
# dpkg.
need_architectures() {
	local package
	for package in "$@"; do
		[[ $package == *:* ]] || continue
		say "Adding the architecture ${package##*:} to dpkg"
		as_root dpkg --add-architecture "${package##*:}"
	done
}

# apt_get runs apt-get without questions, and shows its output only if it fails. It
# starts no services, and waits for another program that installs packages.
apt_get() {
	local output
	output=$(without_services as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null) ||
		die "apt-get $* failed:" "$(tail -n 15 <<<"$output")"
}

readonly SERVICES_POLICY=/usr/sbin/policy-rc.d # Debian's packages ask it whether to start a service

# without_services runs a command, in a shell of its own. The packages that it installs
# start no services.
without_services() (
	if [[ ! -e $SERVICES_POLICY ]]; then
		trap 'as_root rm "$SERVICES_POLICY"' EXIT
		as_root install -m 755 /dev/stdin "$SERVICES_POLICY" <<<$'#!/bin/sh\nexit 101'
	fi
	"$@"
)
