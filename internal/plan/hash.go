package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Hash names the plan: the SHA-256, in upper-case hex, of what it says. Comments, the order
// of fields and the way values are written do not count.
func (p *Plan) Hash() string {
	sum := sha256.Sum256(p.content)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
