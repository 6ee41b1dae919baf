package provision

import (
	"maps"
	"slices"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
)

// withhold keeps the variables that the plan names as sources from all programs that are
// started: each secret goes only to what it is for.
func (r *run) withhold() {
	sources := map[secret.Source]bool{}
	for _, row := range r.rows {
		for _, source := range row.plan.Sources() {
			sources[source] = true
		}
	}
	r.withheld = slices.Collect(maps.Keys(sources))
	r.desk, r.o.Issuers = r.withoutSecrets(r.desk), r.withoutSecrets(r.o.Issuers)
}

func (r *run) withoutSecrets(d *desk.Desk) *desk.Desk {
	if d == nil {
		return nil
	}
	without := *d
	without.ChildEnv = secret.FilterEnv(d.ChildEnv, r.withheld...)
	return &without
}
