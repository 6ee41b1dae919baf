package stack

import (
	"os"
	"strings"
)

// pinentryOfPerson answers with the PIN, and counts how often it was asked. It keeps what it
// shows, and cancels instead if a file says so.
const pinentryOfPerson = `#!/bin/sh
echo OK
while read -r command rest; do
	case $command in
	SETDESC) echo "$rest" >> "$ASKED.shown"; echo OK ;;
	GETPIN) echo asked >> "$ASKED"; if test -e "$ASKED.cancel"; then echo ERR 83886179 cancelled; else echo D "$CARD_PIN"; echo OK; fi ;;
	CONFIRM) if test -e "$ASKED.cancel"; then echo ERR 83886179 cancelled; else echo OK; fi ;;
	BYE) echo OK; exit ;;
	*) echo OK ;;
	esac
done
`

// Person puts a pinentry on the path of programs that gives this PIN, or what CARD_PIN is
// later. The file asked.shown has what it showed; if there is a file asked.cancel, it cancels.
func (d *Desk) Person(pin string) {
	d.tb.Helper()
	d.Setenv("CARD_PIN", pin)
	d.Setenv("ASKED", d.Path("asked"))
	program := d.Write("pinentry/pinentry", pinentryOfPerson, 0o700)
	d.Setenv("PATH", strings.TrimSuffix(program, "/pinentry")+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Asked is how often this person was asked for the PIN.
func (d *Desk) Asked() int {
	text, err := os.ReadFile(d.Path("asked"))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}
