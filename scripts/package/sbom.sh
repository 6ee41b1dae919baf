#!/usr/bin/env bash
# Writes the bill of materials of a program, in CycloneDX: the Go modules that the
# program itself names, Go's library, and the system libraries that it loads.
# sbom.sh PROGRAM DOCUMENT VERSION DATE. goreleaser.yaml calls it. The document has no
# serial number and no time of its own: the same program gives the same document.
set -euo pipefail
program=$1 document=$2 version=$3 date=$4
modules=$(dirname "${BASH_SOURCE[0]}")/../../docs/dependencies.md

# licences reads the licence of each module from the table of dependencies.
licences() {
	awk -F' *[|] *' '$2 ~ /^`.*`$/ { gsub("`", "", $2); print $2, $3 }' "$modules" |
		jq -Rn '[inputs / " " | {(.[0]): .[1]}] | add'
}

# libraries lists the shared libraries that an ELF program needs. Those of a Windows
# program are part of Windows.
libraries() {
	readelf -d "$program" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | jq -Rn '[inputs]'
}

go version -m -json "$program" | jq --sort-keys \
	--arg version "$version" --arg date "$date" --arg sha256 "$(sha256sum "$program" | cut -d' ' -f1)" \
	--argjson licences "$(licences)" --argjson libraries "$(libraries)" '
	def purl($path; $version): "pkg:golang/\($path)@\($version)";
	def licence($path): [{license: {id: ($licences[$path] // error("docs/dependencies.md has no licence of \($path)"))}}];
	def settings: map({(.Key): .Value}) | add;
	def modules: [.Deps[]? | (.Replace // .) | {
		type: "library", "bom-ref": purl(.Path; .Version), name: .Path, version: .Version,
		purl: purl(.Path; .Version), licenses: licence(.Path), scope: "required",
		properties: [{name: "go.sum", value: .Sum}]}];
	def go: (.GoVersion | ltrimstr("go")) as $v | {
		type: "library", "bom-ref": purl("std"; $v), name: "std", version: $v,
		purl: purl("std"; $v), licenses: [{license: {id: "BSD-3-Clause"}}], scope: "required"};
	def system: [$libraries[] | {type: "library", "bom-ref": ., name: ., scope: "required",
		properties: [{name: "linked", value: "at run time, from the system"}]}];
	(modules + [go] + system) as $components
	| (.Settings | settings) as $set
	| purl(.Main.Path; "v\($version)") as $self
	| {
		bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
		metadata: {
			timestamp: $date,
			component: {
				type: "application", "bom-ref": $self, name: "cardctl", version: $version, purl: $self,
				licenses: [{license: {id: "Apache-2.0"}}], hashes: [{alg: "SHA-256", content: $sha256}],
				properties: [{name: "platform", value: "\($set.GOOS)/\($set.GOARCH)"}, {name: "cgo", value: $set.CGO_ENABLED}]
			}
		},
		components: $components,
		dependencies: [{ref: $self, dependsOn: [$components[]."bom-ref"]}]
	}' >"$document"
