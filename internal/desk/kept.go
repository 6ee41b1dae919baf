package desk

// Kept is a line that stays open when the work on it has ended, because a person is
// asked what to do on its card: that is then done on the same card.
type Kept struct{ line *Line }

// keep lets the card of a line go, which stays open.
func (k *Kept) keep(l *Line) error {
	k.line = l
	return l.Release()
}

// take is the line that was kept, once, for another desk; nil for none.
func (k *Kept) take(d *Desk) *Line {
	if k == nil || k.line == nil {
		return nil
	}
	l := k.line
	k.line, l.desk = nil, d
	return l
}

// Close ends the line that was kept and not used.
func (k *Kept) Close() error {
	if k.line == nil {
		return nil
	}
	l := k.line
	k.line = nil
	return l.LetGo()
}
