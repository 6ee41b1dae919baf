package main

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/advice"
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
		Because("The crash ended cardctl; the current step may or may not have completed. Another module, or a newer version of this one, may work.").
		Advise(advice.Do(advice.ShowCard)))
	return b.Bytes(), status
}
