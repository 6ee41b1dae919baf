#!/usr/bin/env bash
# Creates in build/package the other contents of packages: compressed manual pages,
# completions, documents, examples, licences; with modes that do not depend on who
# checked the sources out. stage.sh SECONDS: SECONDS is the time of the files.
# goreleaser.yaml calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. scripts/lib/say.sh
umask 022

readonly stage=build/package

completions() {
	local program=$stage/cardctl
	# A completion script does not depend on cgo.
	env -u GOOS -u GOARCH CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$program" ./cmd/cardctl
	mkdir -p "$stage/completions"
	"$program" completion bash >"$stage/completions/cardctl.bash"
	"$program" completion zsh >"$stage/completions/_cardctl"
	"$program" completion fish >"$stage/completions/cardctl.fish"
	"$program" completion powershell >"$stage/completions/cardctl.ps1"
	rm "$program"
}

manuals() {
	local page section
	for page in man/*.[1-9]; do
		section=$stage/man/man${page##*.}
		mkdir -p "$section"
		gzip -9n <"$page" >"$section/${page##*/}.gz"
	done
}

# units have systemd start the agent of a user.
units() { install -D -m 644 -t "$stage/systemd" scripts/package/systemd/*; }

# notices collects the licences of everything that is linked in on any platform; they
# must be distributed with the program.
notices() {
	local path version dir os
	printf 'cardctl contains the following, under their licences.\n'
	{
		printf 'Go %s %s\n' "$(go env GOVERSION)" "$(go env GOROOT)"
		for os in linux windows; do
			GOOS=$os CGO_ENABLED=1 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/cardctl
		done
	} | LC_ALL=C sort -u | while read -r path version dir; do
		printf '\n==== %s %s\n\n' "$path" "$version"
		cat "$dir"/LICENSE* || return
	done
}

# documents are where they link to each other, as in the repository.
documents() {
	mkdir -p "$stage/doc"
	notices >"$stage/doc/THIRD-PARTY-LICENSES"
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md "$stage/doc"
	install -D -m 644 -t "$stage/doc/docs" docs/*.md
	install -D -m 644 -t "$stage/doc/docs/pictures" docs/pictures/*.svg
	install -m 644 LICENSE "$stage/LICENSE"
	{
		printf '%s\n' 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/' \
			'Upstream-Name: cardctl' 'Source: https://github.com/cardctl/cardctl' '' \
			'Files: *' 'Copyright: The cardctl authors' 'License: Apache-2.0' \
			' On Debian systems, the text of this licence is in /usr/share/common-licenses/Apache-2.0.'
	} >"$stage/copyright"
}

# links_lead fails if a document links to a file that is not next to it.
links_lead() {
	local document link
	while IFS=: read -r document link; do
		[[ -e $(dirname "$document")/$link ]] || die "$document links to $link, which is in no package."
	done < <(grep -roE --include='*.md' '\]\([^):#]+[)#]' "$stage/doc" | sed 's/](//; s/[)#]$//')
}

rm -rf "$stage"
completions
manuals
units
documents
links_lead
find "$stage" -exec touch -d "@$1" {} +
