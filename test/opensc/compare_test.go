//go:build stack

package opensc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/test/opensc"
	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// state is what is on the card, but for what is another each time: salts, times, and
// the numbers of keys and changes that were made.
func (k kept) state(t *testing.T) any {
	t.Helper()
	var state any
	if err := json.Unmarshal(k.raw(t), &state); err != nil {
		t.Fatal(err)
	}
	return comparable(state)
}

var times = regexp.MustCompile(`20\d{12}Z`)

func comparable(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = comparable(value[i])
		}
	case map[string]any:
		delete(value, "salt")
		delete(value, "hash")
		delete(value, "changes")
		for name := range value {
			value[name] = comparable(value[name])
		}
	case string:
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return value
		}
		if key := keyIn(raw); key != "" {
			return key
		}
		return fmt.Sprintf("%X", times.ReplaceAll(raw, []byte("(a time)")))
	}
	return value
}

// keyIn names the key that is all of a value.
func keyIn(raw []byte) string {
	var public crypto.PublicKey
	if private, err := x509.ParsePKCS8PrivateKey(raw); err == nil {
		public = private.(crypto.Signer).Public()
	} else if key, err := x509.ParsePKCS1PublicKey(raw); err == nil {
		public = key
	} else if public, err = x509.ParsePKIXPublicKey(raw); err != nil {
		return ""
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits, brought: %v", public.N.BitLen(), public.Equal(broughtRSA().Public()))
	case *ecdsa.PublicKey:
		return fmt.Sprintf("%s, brought: %v", public.Params().Name, public.Equal(broughtEC().Public()))
	}
	return ""
}

// TestTheStandInDoesWhatOpenSCDoes does all jobs with the real programs through
// the daemon, and with the stand-in, and compares the cards after each.
func TestTheStandInDoesWhatOpenSCDoes(t *testing.T) {
	for _, application := range applications {
		real, simulated := keep(t, application, "0BADCAFE"), keep(t, application, "0BADCAFE")
		line := stack.NewLine(t, 0)
		pull := line.Insert(real.Card)
		desk := opensc.NewDesk(simulated.Card)
		for i, j := range jobs {
			theirs := do(t.Context(), j, application, func() (*pkcs15.Card, error) {
				return pkcs15.Open(t.Context(), line, pkcs15.Tools{Env: os.Environ()})
			})
			ours := do(t.Context(), j, application, func() (*pkcs15.Card, error) { return desk.Open(t.Context()) })
			if fmt.Sprint(ours) != fmt.Sprint(theirs) || j.code == "" && ours != nil {
				t.Fatalf("%s: %d, %s: %v, with OpenSC %v", application, i, j.name, ours, theirs)
			}
			got, want := simulated.state(t), real.state(t)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %d, %s: the cards differ: %s", application, i, j.name, difference("", got, want))
				break
			}
		}
		pull()
	}
}

// TestTheStandInMakesTwoPINs does what twoPINs says with both.
func TestTheStandInMakesTwoPINs(t *testing.T) {
	real, simulated := keep(t, "myeid", "0BADCAFE"), keep(t, "myeid", "0BADCAFE")
	line := stack.NewLine(t, 0)
	pull := line.Insert(real.Card)
	defer pull()
	desk := opensc.NewDesk(simulated.Card)
	for _, args := range twoPINs {
		command := exec.Command("pkcs15-init", append([]string{"--reader", line.Reader()}, args...)...)
		command.Env = append(os.Environ(), secretsOfTwo...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		if err := desk.Run(t.Context(), secretsOfTwo, "pkcs15-init", args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if d := difference("", simulated.state(t), real.state(t)); d != "" {
			t.Errorf("%v: the cards differ: %s", args, d)
		}
	}
}

// TestTheStandInListsAsOpenSCDoes does strangeJobs with both, and compares what
// came of them.
func TestTheStandInListsAsOpenSCDoes(t *testing.T) {
	desk, real := withTwoPINs(t), withTwoPINs(t).Card
	desk.Strange = true
	pull := stack.NewLine(t, 0).Insert(real)
	defer pull()
	readers, err := pcsc.Open(t.Context(), pcsc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = readers.Close() }()
	through := &opensc.Desk{Strange: true, Name: stack.ReaderName(0)}
	through.Connect = func(ctx context.Context) (iso7816.Connection, error) { return readers.Connect(ctx, through.Name) }
	ours := func() (*pkcs15.Card, error) { return desk.Open(t.Context()) }
	theirs := func() (*pkcs15.Card, error) {
		return pkcs15.Open(t.Context(), through, pkcs15.Tools{Env: os.Environ()})
	}
	// OpenSC 0.26 asks a card that it knows for the tries, and 0.23 does not.
	same := strings.NewReplacer(desk.Card.Serial(), "(serial)", real.Serial(), "(serial)", "TriesLeft:-1", "(tries)", "TriesLeft:3", "(tries)")
	for _, j := range strangeJobs {
		got, _ := tell(t.Context(), ours, j.do)
		want, _ := tell(t.Context(), theirs, j.do)
		if got, want = same.Replace(got), same.Replace(want); got != want {
			t.Errorf("%s: %s\nwith OpenSC %s", j.name, got, want)
		}
	}
}

// difference is the first that there is.
func difference(at string, got, want any) string {
	switch want := want.(type) {
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s: %d elements, not %d", at, len(list), len(want))
		}
		for i := range want {
			if d := difference(fmt.Sprintf("%s[%d]", at, i), list[i], want[i]); d != "" {
				return d
			}
		}
		return ""
	case map[string]any:
		object, _ := got.(map[string]any)
		for name := range want {
			if d := difference(at+"."+name, object[name], want[name]); d != "" {
				return d
			}
		}
		if len(object) != len(want) {
			return at + ": more fields"
		}
		return ""
	}
	if reflect.DeepEqual(got, want) {
		return ""
	}
	return fmt.Sprintf("%s: %v, not %v", at, got, want)
}
