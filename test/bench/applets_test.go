//go:build stack

package bench

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// appletWay is how a Java card is reached.
type appletWay struct {
	name    string
	profile string
	level   string
	// most is how many APDUs an installation may take that loads a file of
	// size bytes in blocks.
	most func(size, blocks int) int
}

var appletWays = []appletWay{
	{"C-MAC", "short-apdus", "c-mac", func(_, blocks int) int { return blocks + 8 }},
	{"C-MAC and encryption", "short-apdus", "c-decryption", func(_, blocks int) int { return blocks + 8 }},
	{"extended length", "openpgp-3.4", "c-mac", func(size, _ int) int { return 8 + size/2000 }},
}

// applets are the files that are installed.
var applets = []string{"OpenPGP.cap", "IsoApplet.cap"}

const mostToList = 8

// TestApplets counts what an upload costs on a blank Java card.
func TestApplets(t *testing.T) {
	var rows [][]string
	row := func(n int, name string) {
		if n == len(rows) {
			rows = append(rows, []string{name})
		}
	}
	files, err := filepath.Abs("../../internal/cardsim/testdata")
	if err != nil {
		t.Fatal(err)
	}
	head := []string{"job"}
	for _, way := range appletWays {
		head = append(head, way.name)
		t.Run(way.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			_, wire := d.WiredCard("blank", 0, "--applications", "gp", "--profile", way.profile)
			n := 0
			job := func(name string, most func(document []byte) int, args ...string) {
				row(n, name)
				before := wire.Count()
				document := d.Run("cardctl", append(args, "--card-keys", "default", "--security-level", way.level, "--yes", "-o", "json")...)
				c := wire.Count().Sub(before)
				limit := most([]byte(document))
				if limit != 0 && c.APDUs > limit {
					t.Errorf("%s: %d APDUs, the limit is %d", name, c.APDUs, limit)
				}
				text := cell(c)
				if limit != 0 {
					text += fmt.Sprintf(", at most %d", limit)
				}
				rows[n] = append(rows[n], text)
				n++
			}
			fixed := func(limit int) func([]byte) int { return func([]byte) int { return limit } }
			job("list", fixed(mostToList), "applet", "list")
			for _, name := range applets {
				job("install "+name, func(document []byte) int {
					var plan struct{ LoadSize, Blocks int }
					if err := json.Unmarshal(document, &plan); err != nil {
						t.Fatal(err)
					}
					return way.most(plan.LoadSize, plan.Blocks)
				}, "applet", "install", filepath.Join(files, name))
			}
			job("list of both", fixed(mostToList), "applet", "list")
			job("delete one with its package", fixed(0), "applet", "delete", "D27600012401", "--with-applets")
			job("set-keys", fixed(0), "applet", "set-keys", "--generate", "--keys-file", d.Path("card.keys"))
		})
	}
	if t.Failed() {
		return
	}
	table := table{rows: append([][]string{head}, rows...)}
	table.note = "The jobs are those of `cardctl applet`. GlobalPlatformPro needs n + 13 APDUs to install the same file in n blocks."
	table.publish(t)
}
