package cert

import (
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/ber"
)

// parseValidity reads the dates of RFC 5280, 4.1.2.5, and those that X.680, 46 and 47,
// allow in addition.
func (c *Certificate) parseValidity(e ber.Element) error {
	list, _ := c.elements(e, 2)
	if len(list) != 2 {
		return errNone
	}
	var err error
	if c.NotBefore, err = c.parseTime(list[0]); err != nil {
		return err
	}
	if c.NotAfter, err = c.parseTime(list[1]); err != nil {
		return err
	}
	if c.NotAfter.Before(c.NotBefore) {
		c.odd("it ends before it begins")
	}
	return nil
}

// The lengths of a date without seconds.
const (
	shortUTC         = len("0601021504")
	shortGeneralized = len("2006010215")
)

func (c *Certificate) parseTime(e ber.Element) (time.Time, error) {
	value, err := e.Octets()
	if err != nil {
		return time.Time{}, err
	}
	text := string(value)
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(text)
	}
	whole, rest := text[:digits], text[digits:]
	fraction := ""
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		end := strings.IndexAny(rest, "Z+-")
		if end < 0 {
			end = len(rest)
		}
		fraction, rest = rest[:end], rest[end:]
	}
	layout := ""
	switch {
	case e.Is(ber.UTCTime) && len(whole) >= shortUTC:
		layout = "060102150405"
		if fraction != "" {
			return time.Time{}, errNone
		}
	case e.Is(ber.GeneralizedTime) && len(whole) >= shortGeneralized:
		layout = "20060102150405"
	}
	if len(whole) > len(layout) {
		return time.Time{}, errNone
	}
	if len(whole) < len(layout) || fraction != "" || rest != "Z" {
		c.odd("its dates are not written as RFC 5280 requires")
	}
	if fraction != "" && len(whole) == len(layout) {
		whole += "." + fraction[1:] // time.Parse reads it behind the seconds
	}
	parsed, err := time.Parse(layout[:min(len(whole), len(layout))]+zoneOf(rest), whole+rest)
	if err != nil {
		return time.Time{}, errNone
	}
	// Two digits of a year: 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1).
	const pivot, century = 2050, 100
	if e.Is(ber.UTCTime) && parsed.Year() >= pivot {
		parsed = parsed.AddDate(-century, 0, 0)
	}
	return parsed.UTC(), nil
}

// zoneOf is the layout of a time zone; without one a date is taken as UTC.
func zoneOf(zone string) string {
	switch zone {
	case "":
		return ""
	case "Z":
		return "Z"
	}
	return "-0700"
}
