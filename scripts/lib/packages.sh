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
test|GnuPG (gpg)|have gpg|gpg
test|GnuPG (gpg-agent)|have gpg-agent|gpg-agent
test|GnuPG (gpgsm)|have gpgsm|gpgsm
test|GnuPG (scdaemon)|have_file gnupg/scdaemon scdaemon|scdaemon
token|OpenSSL|have openssl|openssl
token|SoftHSM|have softhsm2-util|softhsm2
test|Scute PKCS#11 module|have_file scute/scute.so scute.so|scute
test|GnuTLS tools (certtool)|have certtool|gnutls-bin
test|NSS tools (pk12util)|have pk12util|libnss3-tools
test|Java keytool|have keytool|default-jre-headless
test|OpenSSL engine for PKCS#11|have_file engines-3/pkcs11.so engines-1.1/pkcs11.so|libengine-pkcs11-openssl
test|OpenSSL provider for PKCS#11|have_provider|pkcs11-provider
test|OpenVPN|have openvpn|openvpn
test|OpenSSH client (ssh-keygen)|have ssh-keygen|openssh-client
test|bash-completion|have_file /usr/share/bash-completion/bash_completion|bash-completion
test|jq|have jq|jq
room|ip, for the networks of rooms|have ip|iproute2
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

# apt_get runs apt-get without questions, and shows its output only if it fails.
apt_get() {
	local output
	output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" 2>&1 </dev/null) ||
		die "apt-get $* failed:" "$(tail -n 15 <<<"$output")"
}
