package main

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/problem"
)

// lastWords is what is said where a PKCS#11 module takes the program with it.
func (env *session) lastWords(module string) (text []byte, status int) {
	var b bytes.Buffer
	if env.live && !env.silent() {
		b.WriteString("\r\x1b[K") // a spinner may stand there
	}
	dying, world := *env, *env.Env
	world.Err = &b
	dying.Env = &world
	status = dying.fail(problem.New(problem.Failed, "the PKCS#11 module %s crashed", module).
		Because("It ended the whole program; what was under way may be done or not.").
		Hint("cardctl info; another --module, or a newer version of this one"))
	return b.Bytes(), status
}
