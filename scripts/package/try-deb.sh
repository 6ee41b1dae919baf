#!/usr/bin/env bash
# Installs a .deb, works with it as somebody who has nothing else, and removes it
# again: try-deb.sh FILE.deb. Wants root. On a machine that has a cardctl it does
# nothing but say so.
set -euo pipefail
deb=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. scripts/lib/say.sh
. scripts/lib/packages.sh

# known says whether dpkg has anything of cardctl.
known() {
	local status
	# shellcheck disable=SC2016 # dpkg-query's own variable
	status=$(dpkg-query --show --showformat '${db:Status-Status}' cardctl 2>/dev/null) && [[ $status != not-installed ]]
}

if known || [[ -e /usr/bin/cardctl ]]; then
	die "there is a cardctl on this machine, which this test would replace and remove." \
		"Remove it (apt-get remove cardctl), or run this where there is none."
fi
PATH=/usr/sbin:/usr/bin:/sbin:/bin # no cardctl of one's own

# files are what the package says it installs.
files() { dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n 's,^\.\(/.*[^/]\)$,\1,p'; }

remove() {
	if known; then
		as_root dpkg --purge cardctl
	fi
}
trap remove EXIT

# install_deb leaves out what the package only recommends: it has to work without.
install_deb() { apt_get install -y --no-install-recommends "$deb"; }

here() {
	local file
	while read -r file; do
		[[ -e $file ]] || die "$file was not installed."
	done < <(files)
	[[ $(command -v cardctl) == /usr/bin/cardctl ]] || die "cardctl on the path is $(command -v cardctl)."
	cardctl version
}

# manuals asks man, which may be set up to leave manuals out (dpkg's path-exclude).
manuals() {
	local page
	for page in cardctl cardctl-gen-key; do
		[[ $(man -w 1 "$page") == /usr/share/man/man1/$page.1.gz ]] || die "man does not find $page(1)."
	done
	for page in exit-codes key-references secrets; do
		man -w 7 "cardctl-$page" >/dev/null || die "man does not find cardctl-$page(7)."
	done
	say "man finds the pages."
}

# completion asks bash as a Tab does, beside bash-completion's own files.
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

# gone looks for what the package leaves behind.
gone() {
	local file
	while read -r file; do
		[[ ! -e $file ]] || die "$file is still there."
	done < <(files)
	[[ ! -e /usr/share/doc/cardctl ]] || die "/usr/share/doc/cardctl is still there."
	! known || die "dpkg still knows cardctl."
	say "Nothing is left."
}

heading "Install $(basename "$deb")"
install_deb
here
manuals
completion

heading "From blank to a certificate that works, with the installed program"
scripts/demo.sh --installed

heading "Remove it"
remove
gone
