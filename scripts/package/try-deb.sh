#!/usr/bin/env bash
# Installs a .deb, uses it on its own, and removes it: try-deb.sh FILE.deb. Needs root.
# On a computer that already has a cardctl it changes nothing and fails.
set -euo pipefail
deb=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. scripts/lib/say.sh
. scripts/lib/packages.sh

# known reports whether dpkg knows cardctl.
known() {
	local status
	# shellcheck disable=SC2016 # dpkg-query's own variable
	status=$(dpkg-query --show --showformat '${db:Status-Status}' cardctl 2>/dev/null) && [[ $status != not-installed ]]
}

if known || [[ -e /usr/bin/cardctl ]]; then
	die "cardctl is already installed here, and this test would replace and remove it." \
		"Remove it (apt-get remove cardctl), or run this script on another computer."
fi
PATH=/usr/sbin:/usr/bin:/sbin:/bin # no other cardctl

# files lists the files of the package.
files() { dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n 's,^\.\(/.*[^/]\)$,\1,p'; }

remove() {
	if known; then
		as_root dpkg --purge cardctl
	fi
}
trap remove EXIT

# install_deb omits recommended packages: cardctl has to work without them.
install_deb() { apt_get install -y --no-install-recommends "$deb"; }

here() {
	local file
	while read -r file; do
		[[ -e $file ]] || die "$file was not installed."
	done < <(files)
	[[ $(command -v cardctl) == /usr/bin/cardctl ]] || die "cardctl on the path is $(command -v cardctl)."
	cardctl version
}

# manuals asks man. dpkg may be set up not to install manuals (path-exclude).
manuals() {
	local page
	for page in cardctl cardctl-gen-key; do
		[[ $(man -w 1 "$page") == /usr/share/man/man1/$page.1.gz ]] || die "man cannot find $page(1)."
	done
	for page in exit-codes key-references secrets; do
		man -w 7 "cardctl-$page" >/dev/null || die "man cannot find cardctl-$page(7)."
	done
	say "man finds the pages."
}

# completion asks bash as the Tab key does, with the files of bash-completion.
completion() {
	local offered
	offered=$(bash --norc -c '
		. /usr/share/bash-completion/bash_completion
		complete -p cardctl >/dev/null || _completion_loader cardctl
		COMP_WORDS=(cardctl gen-k) COMP_CWORD=1 COMP_LINE="cardctl gen-k" COMP_POINT=13
		$(complete -p cardctl | sed "s/.*-F \([^ ]*\).*/\1/") cardctl gen-k cardctl
		printf "%s\n" "${COMPREPLY[@]}"' 2>/dev/null)
	[[ $offered == gen-key* ]] || die "bash completes gen-k to: $offered"
	say "bash completes gen-k to gen-key."
}

# gone checks that the package leaves nothing behind.
gone() {
	local file
	while read -r file; do
		[[ ! -e $file ]] || die "$file was not removed."
	done < <(files)
	[[ ! -e /usr/share/doc/cardctl ]] || die "/usr/share/doc/cardctl was not removed."
	! known || die "dpkg still knows cardctl."
	say "Nothing is left."
}

heading "Install $(basename "$deb")"
install_deb
here
manuals
completion

heading "From a blank card to a certificate that works, with the installed program"
scripts/demo.sh --installed

heading "Remove it"
remove
gone
