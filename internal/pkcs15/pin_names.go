package pkcs15

import "strings"

// Role is what a script calls the PIN: user, so or puk; of several, all but the
// first have their ID behind it, as in user-02.
func (p PIN) Role() string {
	role := "user"
	switch {
	case p.Unblocking:
		role = "puk"
	case p.SO:
		role = "so"
	}
	if p.further {
		role += "-" + p.ID
	}
	return role
}

// Name is what users call the PIN.
func (p PIN) Name() string {
	role, id, further := strings.Cut(p.Role(), "-")
	name := map[string]string{"user": "user PIN", "so": "SO PIN", "puk": "PUK"}[role]
	if further {
		name += " " + id
	}
	return name
}

// distinguish marks the PINs of a card whose role an earlier one has.
func distinguish(pins []PIN) {
	taken := map[string]bool{}
	for i := range pins {
		pins[i].further = taken[pins[i].Role()]
		taken[pins[i].Role()] = true
	}
}
