package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/test/opensc"
)

// TestPUKOfAnInterruptedRun interrupts init of an IsoApplet, which cannot set its PUK again,
// at every command. Another init, with another PUK, gives it that one, or says that it has
// another.
func TestPUKOfAnInterruptedRun(t *testing.T) {
	d := &testDesk{t: t, state: t.TempDir(), vars: []string{
		"CARDCTL_READER=" + opensc.Reader, "CARDCTL_PIN=" + userPIN, "CARDCTL_NEW_PIN=" + userPIN, "FIRST=1111111111111111", "SECOND=2222222222222222",
	}}
	d.must("sim", "create", "desk", "--applications", "pkcs15")
	d.inReader = true
	start := d.save()
	initialise := func(puk string) []string { return d.words("init --app pkcs15 --yes --puk env:" + puk) }
	honest := d.run(context.Background(), initialise("FIRST"), cardsim.RemoveBefore(1<<30))
	if honest.exit != 0 {
		t.Fatalf("%+v", honest)
	}
	said := 0
	for n := 1; n <= honest.traffic.APDUs; n++ {
		d.restore(start)
		d.run(context.Background(), initialise("FIRST"), cardsim.RemoveBefore(n))
		t.Run(fmt.Sprintf("pulled before command %d of %d", n, honest.traffic.APDUs), func(t *testing.T) {
			here := d.in(t)
			r := here.run(context.Background(), append(initialise("SECOND"), "--allow-unknown-tries"))
			now := "SECOND"
			if r.exit != 0 {
				said++
				now = "FIRST"
				here.must(append(initialise("FIRST"), "--allow-unknown-tries")...)
			}
			here.must(here.words("unblock-pin --allow-unknown-tries --puk env:" + now)...)
		})
	}
	if said == 0 {
		t.Error("no card had the PUK of the first run")
	}
}
