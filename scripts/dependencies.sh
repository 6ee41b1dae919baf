#!/usr/bin/env bash
# Checks what this module depends on: that the modules are those of go.sum, and
# that none has a known vulnerability that cardctl reaches.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/say.sh
. scripts/lib/packages.sh
. scripts/lib/go.sh

# vulnerabilities fails where govulncheck finds one (its status 3), or does not
# work. Where its database cannot be reached it says so, and that is all.
vulnerabilities() {
	local program output
	program=$(go_tool govulncheck)
	if output=$("$program" ./... 2>&1); then
		say "$output"
	elif grep -q 'fetching vulnerabilities: Get ' <<<"$output"; then
		say "Not checked for known vulnerabilities: https://vuln.go.dev cannot be reached from here."
	else
		die "govulncheck:" "$output"
	fi
}

need_go
go mod verify
vulnerabilities
