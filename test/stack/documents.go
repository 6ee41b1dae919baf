package stack

import (
	"encoding/json"
	"time"
)

// Info is what the tests read of the document that info prints.
type Info struct {
	Schema string
	Kind   string
	Reader string
	Card   CardDocument
	Keys   []struct {
		Ref, Algorithm, Fingerprint, Keygrip, PublicKey string
		Created                                         time.Time
		KnownAs
	}
	Certificates []struct {
		Ref, Subject, Issuer, SerialNumber, SHA256 string
		NotBefore, NotAfter                        time.Time
		MatchesKey                                 bool
		SerializedID                               string
	}
	PINs []struct {
		Name                            string
		TriesLeft, MinLength, MaxLength int
		Blocked                         bool
	}
}

// KnownAs is what programs call a key, through a module of this system.
type KnownAs struct {
	Module, URI, Unnamed, SerializedID, Handle string
	ObjectLabel, CertificateLabel              *string
}

// CardDocument is a card, in info and in list-readers.
type CardDocument struct {
	Type, Serial string
	Applications []struct{ Name, Version, AID string }
}

// ReaderList is what the tests read of the document that list-readers prints.
type ReaderList struct {
	Schema, Kind string
	Readers      []struct {
		Index       int
		Name        string
		CardPresent bool
		ATR         string
		Card        *CardDocument
	}
}

// ErrorDocument is what the tests read of an error with -o json.
type ErrorDocument struct {
	Schema, Kind, Code, Message, Hint string
	Exit                              int
	TriesLeft                         *int
}

// Info is what `cardctl info` tells, with selectors or none.
func (d *Desk) Info(selectors ...string) Info {
	d.tb.Helper()
	var info Info
	d.decode(d.Run("cardctl", append([]string{"info", "-o", "json"}, selectors...)...), &info)
	return info
}

// ListReaders is what `cardctl list-readers` tells.
func (d *Desk) ListReaders() ReaderList {
	d.tb.Helper()
	var list ReaderList
	d.decode(d.Run("cardctl", "list-readers", "-o", "json"), &list)
	return list
}

// Refused runs cardctl with -o json, which has to fail, and returns the error
// it printed.
func (d *Desk) Refused(args ...string) ErrorDocument {
	d.tb.Helper()
	result := d.Try("cardctl", append(args, "-o", "json")...)
	if result.Exit == 0 {
		d.tb.Fatalf("no error:\n%v", result)
	}
	var document ErrorDocument
	if err := json.Unmarshal([]byte(result.Stderr), &document); err != nil {
		d.tb.Fatalf("standard error is not one JSON document: %v\n%v", err, result)
	}
	if document.Exit != result.Exit {
		d.tb.Errorf("the document says exit %d:\n%v", document.Exit, result)
	}
	return document
}

func (d *Desk) decode(text string, document any) {
	d.tb.Helper()
	if err := json.Unmarshal([]byte(text), document); err != nil {
		d.tb.Fatalf("%v in %s", err, text)
	}
}
