package p11

// Makers of modules that are known to keep something to themselves.
const (
	openSC = "OpenSC Project"
	tpm2   = "tpm2-software.github.io"
)

func (m *Module) isBy(maker string) bool { return trim(m.about.manufacturer) == maker }

// OfTPM reports whether the tokens of the module are in a TPM.
func (m *Module) OfTPM() bool { return m.isBy(tpm2) }
