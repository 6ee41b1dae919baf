//go:build !unix

package p11

// surroundings are what a module may change of the process; nothing is known here.
type surroundings struct{}

func look() surroundings      { return surroundings{} }
func (surroundings) restore() {}
func (surroundings) close()   {}
