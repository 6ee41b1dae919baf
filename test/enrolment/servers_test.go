//go:build stack

package enrolment

import (
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestServersStart(t *testing.T) {
	pebble(t, stack.NewDesk(t))
	stepCA(t, stack.NewDesk(t), provisioner{"type": "ACME", "name": "cards", "challenges": []string{"device-attest-01"}})
}
