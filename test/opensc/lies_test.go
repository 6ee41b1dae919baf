package opensc_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/test/opensc"
	"github.com/cardctl/cardctl/test/stack"
)

// triesOf are the counters in a card's state, which a wrong PIN changes.
var triesOf = regexp.MustCompile(`"tries": *\d+`)

func unchanged(before, after []byte) bool {
	return bytes.Equal(triesOf.ReplaceAll(before, nil), triesOf.ReplaceAll(after, nil))
}

// TestLiedTo has the card answer each command of a job by what says neither yes nor
// no, carried out or not: a PIN goes to it once, and where the error does not say
// that the card may have been changed, it was not.
func TestLiedTo(t *testing.T) {
	for application, jobs := range map[string][]job{
		"pkcs15": {change, certificate},
		"myeid":  {change, certificate, generate(0x45, "p256", "sign")},
	} {
		for _, j := range jobs {
			t.Run(application+" "+j.name, func(t *testing.T) {
				t.Parallel()
				points, held, prepared := 0, 0, states{}
				for _, status := range cardsim.Lies() {
					for _, done := range []bool{true, false} {
						for n, more := 1, true; more; n++ {
							more = false // also where -failfast leaves the rest out
							what := fmt.Sprintf("%04X, done: %v", uint16(status), done)
							ok := t.Run(fmt.Sprintf("command %d, %s", n, what), func(t *testing.T) {
								more = prepared.lieAt(t, application, j, n, cardsim.Lie(n, status, done), what)
							})
							if more {
								points++
							}
							if more && ok {
								held++
							}
						}
					}
				}
				if points < 100 {
					t.Errorf("%d points are too few", points)
				}
				stack.Held(t, "lied to", names[application], j.name, "in-process", points, held)
			})
		}
	}
}

// lieAt does a job on a card that lies at the n-th command, and reports whether
// there was one.
func (s states) lieAt(t *testing.T, application string, j job, n int, lie cardsim.Fault, what string) bool {
	t.Helper()
	k := s.card(t, application, "0BADCAFE", "ours")
	defer func() { _ = os.RemoveAll(filepath.Dir(k.file)) }()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.Card, err = cardsim.NewStore(filepath.Dir(k.file)).Open("card", lie); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	before, sent := k.raw(t), map[string]int{}
	desk := opensc.NewDesk(k.Card)
	desk.Sent = func(apdu []byte) {
		const verify, changeReferenceData, resetRetryCounter = 0x20, 0x24, 0x2C
		if len(apdu) > 5 && (apdu[1] == verify || apdu[1] == changeReferenceData || apdu[1] == resetRetryCounter) {
			sent[string(apdu)]++
		}
	}
	c, err := desk.Open(t.Context())
	if err == nil {
		err = j.do(t.Context(), c, application)
	}
	for apdu, times := range sent {
		if times > 1 {
			t.Errorf("%s, %s, command %d, %s: %X was sent %d times", application, j.name, n, what, apdu[:4], times)
		}
	}
	if err != nil && !pkcs15.Unsettled(err) && !unchanged(before, k.raw(t)) {
		t.Errorf("%s, %s, command %d, %s: the card was changed, and the error does not say so: %v", application, j.name, n, what, err)
	}
	return k.Traffic().APDUs >= n
}
