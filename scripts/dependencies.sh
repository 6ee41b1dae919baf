#!/usr/bin/env bash
# Checks the dependencies: the modules match go.sum, and none has a known
# vulnerability that cardctl reaches. TestEveryDependencyIsTrue checks
# docs/dependencies.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh

# vulnerabilities fails if govulncheck finds one (its status 3) or does not work. If
# its database cannot be reached, it only reports that.
vulnerabilities() {
	local program output
	program=$(go_tool govulncheck)
	if output=$("$program" ./... 2>&1); then
		say "$output"
	elif grep -q 'fetching vulnerabilities: Get ' <<<"$output"; then
		say "Known vulnerabilities were not checked: https://vuln.go.dev cannot be reached."
	else
		die "govulncheck failed or found a vulnerability:" "$output"
	fi
}

need_go
go mod verify
go -C test/servers mod verify
go -C test/servers/est mod verify
vulnerabilities
