package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestProvisionSideBySide works in several readers at once: every card gets its row, in the
// order of the readers.
func TestProvisionSideBySide(t *testing.T) {
	const readers = 4
	d := newProvisioning(t, provisionings["OpenPGP"])
	rows, names := "name,mail\n", make([]string, readers)
	for i := range readers {
		name := fmt.Sprintf("card%d", i)
		d.must("sim", "create", name, "--serial", fmt.Sprintf("%08d", i+1))
		rows += fmt.Sprintf("Person %d,person%d@example.com\n", i, i)
		names[i] = "sim:" + name
	}
	d.writeFile("rows.csv", []byte(rows))
	d.vars = d.vars[1:] // no reader is meant alone
	r := d.must(d.command("--readers", strings.Join(names, ","), "-o", "json", "--progress", "json")...)
	for i, name := range names {
		want := fmt.Sprintf(`{"row":%d,"person":"person%d@example.com","serial":"FFFE%08d","reader":"%s"`, i+1, i, i+1, name)
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %s in %s", want, r.stdout)
		}
	}
	if passed := strings.Count(r.stdout, `"passed":true`); passed != readers {
		t.Errorf("%d passed: %s", passed, r.stdout)
	}
}
