package key

// Reference names one key: OPENPGP.3, PKCS15.45 or an RFC 7512 URI. Families
// make references; everybody else passes them on.
type Reference struct {
	// Family is the first word of the reference, which says what kind of card
	// holds the key.
	Family string
	// ID is the place within it, in the family's own form.
	ID string
	// Text is the reference as it is written.
	Text string
}

func (r Reference) String() string   { return r.Text }
func (r Reference) GoString() string { return "key.Reference(" + r.Text + ")" }
