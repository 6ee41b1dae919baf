package ca

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/cert"
)

// indexed is a line of index.txt, the database of openssl ca (openssl-ca(1)): six fields
// between tabs.
type indexed struct {
	// status is V, R or E: valid, revoked, expired.
	status   string
	notAfter time.Time
	revoked  time.Time // zero where it is not
	reason   int
	serial   string
	file     string // of the certificate; unknown for none
	// name is the subject as X509_NAME_oneline(3) writes it: /C=AT/CN=me.
	name string
}

const unknownFile = "unknown"

// opensslReasons are what openssl ca calls reasons, at their numbers. It does not know the
// later ones.
func opensslReasons() []string {
	return []string{
		"unspecified", "keyCompromise", "CACompromise", "affiliationChanged", "superseded", "cessationOfOperation", "certificateHold",
	}
}

// parseIndex reads index.txt. Blank lines and comments are none of its lines; any other
// that cannot be read is an error with its number.
func parseIndex(text string) ([]indexed, error) {
	var list []indexed
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseIndexed(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		list = append(list, e)
	}
	return list, nil
}

func parseIndexed(line string) (e indexed, err error) {
	const fields = 6
	list := strings.Split(line, "\t")
	if len(list) != fields || !utf8.ValidString(line) {
		return e, fmt.Errorf("it has not %d fields in UTF-8, with tabs between them", fields)
	}
	e.status, e.file, e.name = list[0], list[4], list[5]
	if !slices.Contains([]string{"V", "R", "E"}, e.status) {
		return e, fmt.Errorf("the status %q is none of V, R and E", e.status)
	}
	if e.notAfter, err = parseIndexTime(list[1]); err != nil {
		return e, err
	}
	if e.serial, err = ParseSerial(list[3]); err != nil {
		return e, fmt.Errorf("%q is not a serial number", list[3])
	}
	if e.status != "R" {
		return e, nil
	}
	at, reason, _ := strings.Cut(list[2], ",")
	if e.revoked, err = parseIndexTime(at); err != nil {
		return e, err
	}
	return e, e.readReason(reason)
}

// readReason reads a reason, which may have an argument, as in holdInstruction,OID and
// CAkeyTime,DATE.
func (e *indexed) readReason(text string) error {
	name, _, _ := strings.Cut(text, ",")
	switch name {
	case "":
		return nil
	case "holdInstruction":
		e.reason = certificateHold
		return nil
	case "keyTime":
		e.reason = keyCompromise
		return nil
	case "CAkeyTime":
		e.reason = keyCompromise + 1
		return nil
	}
	number, err := parseReason(name)
	if err != nil {
		return fmt.Errorf("%q is not a reason", name)
	}
	e.reason = number
	return nil
}

// parseIndexTime reads a UTCTime or GeneralizedTime.
func parseIndexTime(text string) (time.Time, error) {
	layout := "060102150405Z"
	if len(text) > len(layout) {
		layout = "20060102150405Z"
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		return at, fmt.Errorf("%q is not a time", text)
	}
	const century, pivot = 100, 2050
	if layout[0] == '0' && at.Year() >= pivot { // RFC 5280, 4.1.2.5.1
		at = at.AddDate(-century, 0, 0)
	}
	return at, nil
}

func indexTime(at time.Time) string {
	const generalizedFrom, utcFrom = 2050, 1950
	if year := at.UTC().Year(); year >= generalizedFrom || year < utcFrom {
		return at.UTC().Format("20060102150405Z")
	}
	return at.UTC().Format("060102150405Z")
}

// String is the line, without its end.
func (e indexed) String() string {
	revoked := ""
	if e.status == "R" {
		revoked = indexTime(e.revoked)
		if e.reason > 0 && e.reason < len(opensslReasons()) {
			revoked += "," + opensslReasons()[e.reason]
		}
	}
	return strings.Join([]string{e.status, indexTime(e.notAfter), revoked, e.serial, e.file, e.name}, "\t")
}

// row is what the database has of the line, and of its certificate, if there is one.
func (e indexed) row(made *cert.Certificate) (row, error) {
	r := row{serial: e.serial, subject: e.name, notAfter: e.notAfter.Unix(), profile: "imported"}
	if made != nil {
		if made.Serial() != e.serial {
			return r, fmt.Errorf("its certificate has the serial number %s", made.Serial())
		}
		r = rowOf(made, "imported", made.NotBefore)
	}
	if e.status == "R" {
		r.revoked = sql.NullInt64{Int64: e.revoked.Unix(), Valid: true}
		r.reason = sql.NullInt64{Int64: int64(e.reason), Valid: true}
	}
	return r, nil
}

// oneLine is a name as X509_NAME_oneline(3) writes it.
func oneLine(name cert.Name) (string, error) {
	var text strings.Builder
	for _, rdn := range name {
		for _, a := range rdn {
			if !a.IsText {
				return "", errors.New("a name has an attribute that is not a text")
			}
			text.WriteString("/" + opensslType(a) + "=")
			for _, b := range []byte(a.Value) {
				if b < ' ' || b > '~' {
					fmt.Fprintf(&text, `\x%02X`, b)
					continue
				}
				text.WriteByte(b)
			}
		}
	}
	return text.String(), nil
}

// opensslType is what OpenSSL calls the type of an attribute.
func opensslType(a cert.Attribute) string {
	name, _, _ := strings.Cut(a.String(), "=")
	switch name {
	case "SERIALNUMBER":
		return "serialNumber"
	case "STREET":
		return "street"
	case "POSTALCODE":
		return "postalCode"
	}
	return name
}
