package setup

// Found is a program on this machine that can be set up.
type Found struct {
	Target string
	// SetUp is for whom it was set up.
	SetUp []string
	// Lacks are the Debian packages that it needs besides.
	Lacks []string
	// Limits is what it cannot do; empty for nothing that is known.
	Limits string
}

// Survey lists the programs on this machine. Dir is where it is remembered what was
// written.
func Survey(dir string) []Found {
	var all []Found
	for _, t := range targets() {
		if !t.needs[0].installed() {
			continue
		}
		f := Found{Target: t.name, Limits: t.limits}
		for _, p := range t.needs[1:] {
			if !p.installed() {
				f.Lacks = append(f.Lacks, p.pack)
			}
		}
		records, _ := recordsOf(dir, t.name) // one that cannot be read is told by setup
		for _, r := range records {
			f.SetUp = append(f.SetUp, r.Scope)
		}
		all = append(all, f)
	}
	return all
}
