package advice

// Question is what a person confirms before something is lost or changed for good.
type Question struct {
	// Deed is what will be done, an imperative without its object: "Erase".
	Deed string
	// Subject is what it is done to, as a person knows it.
	Subject string
	// Lost says in sentences what will be lost or changed; empty for nothing.
	Lost string
	// Assumed is the answer of a person who only presses Enter.
	Assumed bool
}

// String is the question in one line.
func (q Question) String() string { return q.ending("?") }

// Statement is what is done, in one line, for a person who said yes beforehand.
func (q Question) Statement() string { return q.ending(".") }

func (q Question) ending(mark string) string {
	text := q.Deed + " " + q.Subject + mark
	if q.Lost != "" {
		text += " " + q.Lost
	}
	return text
}
