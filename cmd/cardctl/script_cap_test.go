//go:build unix

package main

import (
	"flag"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// makeCAP makes a CAP file, of a package with an applet: cap file [-package AID]
// [-applets AID,…] [-imports AID,…] [-code bytes] [-ijc] [-cut bytes].
func makeCAP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: cap file [flags]")
	}
	flags := flag.NewFlagSet("cap", flag.ContinueOnError)
	pkg := flags.String("package", "F000000001", "")
	applets := flags.String("applets", "F00000000101", "")
	imports := flags.String("imports", "", "")
	code := flags.Int("code", 500, "")
	ijc := flags.Bool("ijc", false, "")
	cut := flags.Int("cut", 0, "")
	ts.Check(flags.Parse(args[1:]))
	list := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	}
	c := capFile{pkg: *pkg, applets: list(*applets), imports: list(*imports), code: *code, folder: "test/desk/"}
	data, err := c.bytes()
	ts.Check(err)
	if *ijc {
		data = c.ijc()
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data[:len(data)-*cut], 0o600))
}
