package openvpn

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestTheCertificateAndThePINAreGiven(t *testing.T) {
	others := []entry{
		{`maker/model/0815/other/03`, own.der},
		{`maker/model/0815/it\x27s\x20\x22my\x22\x20\x5C\x20card\x20too/03`, own.der},
		{theID, []byte("another certificate")},
		own,
	}
	st := newStage(t, slices.Concat(begins, picks(others...), []string{asksPIN, "wait password", "send >INFOMSG:WEB_AUTH::https://vpn.example.com", connected, "say connected", "exit"})...)
	st.setting.options.Args = []string{"--verb", "4"}
	if err := st.run(); err != nil {
		t.Fatal(err)
	}
	got := st.got()
	for _, want := range []string{
		"\nstate \"on\"\nhold \"off\"\nhold \"release\"\n", "\nneedstr \"pkcs11-id-request\" " + sentID + "\n",
		`password "it's \"my\" \\ card token" ` + quoted + "\n", "/client.ovpn --verb 4 --management ",
		" --management-client --management-hold --management-query-passwords --pkcs11-providers /module.so --pkcs11-id-management ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nhas no %s", got, want)
		}
	}
	if slices.Index(st.read, "tries") != 0 || st.asked != 1 || st.let == 0 || !slices.Contains(st.log, "connected") || !slices.Contains(st.log, "WEB_AUTH::https://vpn.example.com") {
		t.Errorf("%v, asked %d times, let go %d times, log %q", st.read, st.asked, st.let, st.log)
	}
}

// OpenVPN is never told a PIN again that it did not come to a connection with.
func TestAWrongPINIsNotRepeated(t *testing.T) {
	for name, between := range map[string][]string{
		"at once":         nil,
		"after a restart": append([]string{"send >STATE:1,RECONNECTING,SIGUSR1,,,,,"}, picks(own)...),
		"after a failure": {"send >PASSWORD:Verification Failed: 'x'"},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password"}, between, []string{asksPIN, "wait password", connected})...)
			st.counted = func() int { return min(1, st.passwords()) }
			err := st.run()
			var p *problem.Error
			if p, _ = err.(*problem.Error); p == nil || p.Code != problem.PINIncorrect || p.TriesLeft == nil || *p.TriesLeft != 2 {
				t.Errorf("%+v", err)
			}
			if n := st.passwords(); n != 1 || !slices.Equal(st.read, []string{"tries", "ask", "tries after the end"}) {
				t.Errorf("the PIN was sent %d times, %q\n%s", n, st.read, st.got())
			}
		})
	}
}

// A card that did not count the PIN is no reason to send it again.
func TestAPINThatWasNotCountedIsNotRepeated(t *testing.T) {
	for _, test := range []struct {
		between []string
		code    problem.Code
	}{
		{nil, problem.PINIncorrect},
		{[]string{"send >STATE:1,WAIT,,,,,,"}, problem.Failed},
		{picks(own), problem.Failed},
	} {
		st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password"}, test.between, []string{asksPIN, "wait password", connected})...)
		if err := st.run(); !problem.Is(err, test.code) || st.passwords() != 1 {
			t.Errorf("%v: %v\n%s", test.between, err, st.got())
		}
	}
}

// After a connection the token may forget who is logged in. The PIN that it accepted is
// asked for again, and not repeated if it is wrong then.
func TestALaterLogin(t *testing.T) {
	st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected, asksPIN, "wait password", connected, "exit"})...)
	if err := st.run(); err != nil || st.asked != 2 || st.passwords() != 2 {
		t.Errorf("%v\n%s", err, st.got())
	}
	st = newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected, asksPIN, "wait password", asksPIN, "wait password"})...)
	st.counted = func() int { return max(0, st.passwords()-1) }
	if err := st.run(); !problem.Is(err, problem.PINIncorrect) || st.passwords() != 2 {
		t.Errorf("%v\n%s", err, st.got())
	}
}

// A new key is agreed on without a word in the management interface. A token that does not
// reject the PIN at once has accepted it.
func TestALaterLoginWithoutAConnection(t *testing.T) {
	again := []string{asksPIN, "wait password", "sleep"}
	st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected}, again, again, []string{"exit"})...)
	st.setting.settles = 200 * time.Millisecond
	if err := st.run(); err != nil || st.passwords() != 3 || st.let != 3 {
		t.Errorf("%v, let go %d times\n%s", err, st.let, st.got())
	}
}

func TestTheTriesAreReadFirst(t *testing.T) {
	for left, code := range map[int]problem.Code{0: problem.PINBlocked, 1: problem.PINBlocked} {
		st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected})...)
		st.counted = func() int { return 3 - left }
		if err := st.run(); !problem.Is(err, code) || st.asked != 0 || st.passwords() != 0 {
			t.Errorf("%d left: %v, asked %d times\n%s", left, err, st.asked, st.got())
		}
	}
}

// Whatever else is asked for, and whenever, the PIN is not the answer.
func TestThePINGoesToItsTokenOnly(t *testing.T) {
	picked := slices.Concat(begins, picks(own))
	for name, lines := range map[string][]string{
		"another token":            append(slices.Clone(picked), "send >PASSWORD:Need 'other token' password"),
		"a longer name":            append(slices.Clone(picked), "send >PASSWORD:Need '"+label+" token token' password"),
		"the name without its end": append(slices.Clone(picked), "send >PASSWORD:Need '"+label+"' password"),
		"a user name too":          append(slices.Clone(picked), "send >PASSWORD:Need '"+label+" token' username/password"),
		"a challenge":              append(slices.Clone(picked), "send >PASSWORD:Need '"+label+" token' username/password SC:1,PIN' password"),
		"auth-user-pass":           append(slices.Clone(picked), "send >PASSWORD:Need 'Auth' username/password"),
		"private key":              append(slices.Clone(picked), "send >PASSWORD:Need 'Private Key' password"),
		"a string":                 append(slices.Clone(picked), "send >NEED-STR:Need '"+label+" token' string MSG:PIN"),
		"a confirmation":           append(slices.Clone(picked), "send >NEED-OK:Need 'PIN' confirmation MSG:PIN"),
		"before anything":          {"connect", asksPIN},
		"before the certificate":   append(slices.Clone(begins), asksPIN),
		"while certificates hide":  append(slices.Clone(begins), "send >NEED-STR:Need 'pkcs11-id-request' string MSG:", "wait pid", "pid", "wait pkcs11-id-count", asksPIN),
		"for the next certificate": slices.Concat(picked, []string{"send >NEED-STR:Need 'pkcs11-id-request' string MSG:", "wait pid", "pid", "wait pkcs11-id-count", asksPIN}),
		"another's after it is up": slices.Concat(picked, []string{connected, "send >PASSWORD:Need 'other token' password"}),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, append(lines, "wait password", "wait password", "exit")...)
			err := st.run()
			if !problem.Is(err, problem.NotSupported) || strings.Contains(st.got(), `24\"68`) || st.asked > 0 {
				t.Errorf("%v, asked %d times\n%s", err, st.asked, st.got())
			}
			if !strings.Contains(st.got(), "ended") {
				t.Errorf("OpenVPN did not end\n%s", st.got())
			}
		})
	}
}

func TestACertificateThatIsNotTheKeys(t *testing.T) {
	for name, entries := range map[string][]entry{
		"none":                   nil,
		"of another token":       {{"maker/model/4711/" + `it\x27s\x20\x22my\x22\x20\x5C\x20card/03`, own.der}},
		"with the same ID":       {{theID, []byte("another")}},
		"with more behind it":    {{theID, append(slices.Clone(own.der), 0)}},
		"of a token named alike": {{strings.Replace(theID, "card/", "cards/", 1), own.der}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, slices.Concat(begins, picks(entries...), []string{"wait needstr", "exit"})...)
			if err := st.run(); !problem.Is(err, problem.NotFound) || strings.Contains(st.got(), "needstr") {
				t.Errorf("%v\n%s", err, st.got())
			}
			st = newStage(t, slices.Concat(begins, picks(entries...), []string{"wait needstr", "exit"})...)
			st.gone = desk.Changed("the reader", "It is another.", nil)
			if err := st.run(); !problem.Is(err, problem.CardChanged) {
				t.Error(err)
			}
		})
	}
}

func TestHostileLines(t *testing.T) {
	asks := append(slices.Clone(begins), "send >NEED-STR:Need 'pkcs11-id-request' string MSG:", "wait pid", "pid", "wait pkcs11-id-count")
	for name, lines := range map[string][]string{
		"no number":            append(slices.Clone(asks), "send >PKCS11ID-COUNT:many"),
		"less than none":       append(slices.Clone(asks), "send >PKCS11ID-COUNT:-1"),
		"too many":             append(slices.Clone(asks), "send >PKCS11ID-COUNT:1000000"),
		"another entry":        append(slices.Clone(asks), "send >PKCS11ID-COUNT:1", "wait pkcs11-id-get", entryLine(1, own)),
		"an entry without end": append(slices.Clone(asks), "send >PKCS11ID-COUNT:1", "wait pkcs11-id-get", "send >PKCS11ID-ENTRY:'0', ID:'"+theID),
		"no base64":            append(slices.Clone(asks), "send >PKCS11ID-COUNT:1", "wait pkcs11-id-get", "send >PKCS11ID-ENTRY:'0', ID:'"+theID+"', BLOB:'?'"),
		"asked within":         append(slices.Clone(asks), "send >NEED-STR:Need 'pkcs11-id-request' string MSG:"),
		"held within":          append(slices.Clone(asks), "send >HOLD:"),
		"a line without end":   append(slices.Clone(begins), "long"),
		"a command is refused": append(slices.Clone(begins), "send ERROR: unknown command"),
		"the PIN is refused":   slices.Concat(begins, picks(own), []string{asksPIN, "wait password", "send ERROR: 246813"}),
		"the end of the line":  append(slices.Clone(begins), "close", "exit 1"),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, append(lines, "wait never")...)
			err := st.run()
			if !problem.Is(err, problem.Failed) || strings.Contains(err.Error(), "246813") {
				t.Errorf("%v\n%s", err, st.got())
			}
		})
	}
}

// No line may be put into another, or be longer than OpenVPN reads.
func TestWhatIsNoWord(t *testing.T) {
	for _, value := range []string{"24\n6813", "24\x006813", strings.Repeat("2", 4000)} {
		st := newStage(t, slices.Concat(begins, picks(own), []string{asksPIN, "wait password", "exit"})...)
		st.typed, st.wanted.pin.Max = []string{value}, 0
		if err := st.run(); !problem.Is(err, problem.NotSupported) || st.passwords() != 0 {
			t.Errorf("%v\n%s", err, st.got())
		}
	}
}

func TestOpenVPNEnds(t *testing.T) {
	for name, test := range map[string]struct {
		lines []string
		why   string // empty for no error
	}{
		"well":              {slices.Concat(begins, []string{connected, "exit"}), ""},
		"without a task":    {[]string{"say OpenVPN 2.6", "exit"}, ""},
		"well, not up":      {slices.Concat(begins, []string{"say AUTH_FAILED", "exit"}), "It said: AUTH_FAILED."},
		"before it came":    {[]string{"say 2026-11-29 10:26:38 Options error: no such thing", "say Use --help for more information.", "exit 1"}, "It said: Options error: no such thing."},
		"saying why":        {slices.Concat(begins, []string{"say misleading", "send >FATAL:Cannot open TUN", "exit 1"}), "It said: Cannot open TUN."},
		"saying nothing":    {slices.Concat(begins, []string{"exit 1"}), ""},
		"with the PIN sent": {slices.Concat(begins, picks(own), []string{asksPIN, "wait password", "say broken", "exit 1"}), "It said: Broken."},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, test.lines...)
			err := st.run()
			p, failed := err.(*problem.Error)
			switch {
			case name == "well" || name == "without a task":
				if err != nil {
					t.Error(err)
				}
			case (!failed || p.Code != problem.Failed || p.Why != test.why):
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestTheTokenIsGone(t *testing.T) {
	lines := slices.Concat(begins, picks(own), []string{"send >NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert it's a token", "wait needok"})
	st := newStage(t, lines...)
	if err := st.run(); !problem.Is(err, problem.CardRemoved) {
		t.Error(err)
	}
	st = newStage(t, lines...)
	st.wanted.Reader, st.gone = "reader", problem.New(problem.NotFound, "no card")
	if err := st.run(); !problem.Is(err, problem.CardRemoved) {
		t.Error(err)
	}
	st = newStage(t, lines...)
	st.wanted.Reader = "reader"
	if err := st.run(); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	st = newStage(t, lines...)
	st.gone = desk.Changed("the reader", "It is another.", nil)
	if err := st.run(); !problem.Is(err, problem.CardChanged) {
		t.Error(err)
	}
}

// What answers is the program that was started, or it is not told the PIN.
func TestInTheBackground(t *testing.T) {
	for name, lines := range map[string][]string{
		"another process":  append(slices.Clone(begins), "send >NEED-STR:Need 'pkcs11-id-request' string MSG:", "wait pid", "send SUCCESS: pid=1", "wait needstr"),
		"no such question": slices.Concat(begins, []string{"say here", "leave"}),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, lines...)
			if err := st.run(); !problem.Is(err, problem.Usage) || st.asked != 0 {
				t.Errorf("%v\n%s", err, st.got())
			}
		})
	}
}

// A signal to this program ends OpenVPN in order, in every state.
func TestInterrupted(t *testing.T) {
	for name, lines := range map[string][]string{
		"before the PIN": slices.Concat(begins, picks(own), []string{"say here", "wait never"}),
		"with the PIN":   slices.Concat(begins, picks(own), []string{asksPIN, "wait password", "say here", "wait never"}),
		"connected":      slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected, "say here", "wait never"}),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, lines...)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			st.setting.options.Lasting = ctx
			st.setting.options.Log = func(line string) {
				if line == "here" {
					stop()
				}
			}
			if err := st.setting.launch(ctx, st.wanted); err != context.Canceled || !strings.Contains(st.got(), "signal \"SIGTERM\"\nended") {
				t.Errorf("%v\n%s", err, st.got())
			}
		})
	}
}

// The time for the command ends when the connection is up, and not before.
func TestTheTimeEndsWithTheConnection(t *testing.T) {
	for name, lines := range map[string][]string{
		"with a PIN":    slices.Concat(begins, picks(own), []string{asksPIN, "wait password", connected, "wait never"}),
		"without a PIN": slices.Concat(begins, picks(own), []string{connected, "wait never"}),
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, lines...)
			lasting, stop := context.WithCancel(t.Context())
			st.setting.options.Lasting = lasting
			ctx, late := context.WithTimeout(lasting, time.Second)
			defer late()
			time.AfterFunc(1500*time.Millisecond, stop)
			if err := st.setting.launch(ctx, st.wanted); err != context.Canceled {
				t.Error(err)
			}
		})
	}
	st := newStage(t, slices.Concat(begins, []string{"wait never"})...)
	ctx, late := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer late()
	if err := st.setting.launch(ctx, st.wanted); err != context.DeadlineExceeded {
		t.Error(err)
	}
}

func TestTheConfigurationOfOpenSSL(t *testing.T) {
	st := newStage(t, slices.Concat(begins, []string{"conf", connected, "exit"})...)
	st.setting.options.AllowTLS12 = true
	systems := st.play + ".cnf"
	if err := os.WriteFile(systems, []byte("# of the system\nopenssl_conf = its_init # here\n[its_init]\nproviders = p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st.setting.desk.ChildEnv = append(st.setting.desk.ChildEnv, opensslconf.Variable+"="+systems)
	if err := st.run(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".include " + systems + "\n", "MaxProtocol = TLSv1.2"} {
		if !strings.Contains(st.got(), want) {
			t.Errorf("no %q in\n%s", want, st.got())
		}
	}
}

// TestALongNameOfTheTemporaryDirectory leaves no room for the name of a socket there.
func TestALongNameOfTheTemporaryDirectory(t *testing.T) {
	st := newStage(t, slices.Concat(begins, picks(own), []string{"send >NEED-OK:Need 'token-insertion-request' confirmation MSG:Please insert it's a token", "wait needok"})...)
	long := filepath.Join(os.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if err := st.run(); !problem.Is(err, problem.CardRemoved) {
		t.Error(err)
	}
}

// TestAConfigurationThatNamesTheKey leaves nothing to pick: OpenVPN asks for the PIN of the
// token that it names, and for no other.
func TestAConfigurationThatNamesTheKey(t *testing.T) {
	st := newStage(t, slices.Concat(begins, []string{asksPIN, "wait password", connected, "exit"})...)
	st.wanted.named = true
	if err := st.run(); err != nil || st.passwords() != 1 || strings.Contains(st.got(), "pkcs11-id-management") {
		t.Errorf("%v\n%s", err, st.got())
	}
}
