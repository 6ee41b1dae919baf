package cardinit

import (
	"context"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// InitialiseToken makes a PKCS#11 token blank and gives it a label, SO PIN and
// user PIN. The token is the one that the URI names; where it names none, the
// only one that is not initialised, or else the only one. An initialised token
// keeps its SO PIN, which is asked for, and its label where Options has none.
func InitialiseToken(ctx context.Context, m *p11.Module, uri p11.URI, o Options) (Report, error) {
	if o.Application != "" && o.Application != "pkcs11" {
		return Report{}, problem.New(problem.Usage, "init --app %s is not for a PKCS#11 module", o.Application).Hint("--app pkcs11")
	}
	if o.FactoryPINs {
		return Report{}, problem.New(problem.NotSupported, "a PKCS#11 token has no factory PINs").
			Because("It cannot be used before its PINs are set.").Hint("--so-pin prompt --pin prompt")
	}
	t, err := chooseToken(ctx, m, uri, o.Label)
	if err != nil {
		return Report{}, key.Explain(err, "init", "")
	}
	w := &tokenWork{module: m, token: t, options: o, state: "Nothing on the token was changed."}
	defer w.wipe()
	report, err := w.run(ctx)
	return report, key.Explain(err, "init", w.state)
}

// chooseToken finds the token to initialise. A new one does not get the label of
// another, unless that is what an interrupted command left behind.
func chooseToken(ctx context.Context, m *p11.Module, uri p11.URI, label string) (p11.Token, error) {
	t, err := m.FindToken(ctx, uri)
	if err != nil || t.Initialized {
		return t, err
	}
	tokens, err := m.Tokens(ctx)
	if err != nil {
		return t, err
	}
	for _, other := range tokens {
		switch {
		case !other.Initialized || other.Label != label:
		case !other.UserPIN.Initialized:
			return other, nil
		default:
			return t, problem.New(problem.Refused, "there is a token with the label %q", label).
				Because("It is %s. Two with the same label could not be told apart by it.", other.URI).
				Hint("choose another label; or name that token to erase it: pkcs11:serial=%s", other.Serial)
		}
	}
	return t, nil
}

// tokenWork is one run of InitialiseToken.
type tokenWork struct {
	module  *p11.Module
	token   p11.Token
	options Options
	state   string // what is on the token now
	so      *secret.Bytes
	user    *secret.Bytes
}

func (w *tokenWork) wipe() {
	w.so.Wipe()
	w.user.Wipe()
}

func (w *tokenWork) run(ctx context.Context) (Report, error) {
	report := Report{Serial: w.token.Serial, Application: "pkcs11", PINs: "new", Lost: []string{}}
	label := w.options.Label
	if label == "" {
		label = w.token.Label
	}
	if label == "" {
		return report, problem.New(problem.Usage, "a token needs a label").
			Because("It is what the token is found by.").Hint("--label LABEL")
	}
	if err := w.look(ctx, &report); err != nil {
		return report, err
	}
	if err := w.token.CheckTries(p11.SecurityOfficer, w.options.Access.AllowLastTry); err != nil {
		return report, err
	}
	if err := w.options.Confirm(ctx, w.question(label, report.Lost)); err != nil {
		return report, err
	}
	if err := w.askPINs(ctx); err != nil {
		return report, err
	}
	report.Erased = w.token.Initialized
	made, err := w.module.InitToken(ctx, w.token, w.so, label, true)
	if err != nil {
		return report, err
	}
	report.Serial = made.Serial
	w.state = "The token is blank and has no user PIN; the same command again completes it."
	made, err = w.module.InitPIN(ctx, made, w.so, w.user)
	if err != nil {
		return report, err
	}
	report.URI, w.state = made.URI, ""
	return report, nil
}

// look notes what will be lost, as far as it is seen without a PIN.
func (w *tokenWork) look(ctx context.Context, report *Report) error {
	if !w.token.Initialized {
		return nil
	}
	s, err := w.module.Open(ctx, p11.URI{Path: []p11.Attribute{{Name: p11.AttrSlotID, Value: fmt.Sprint(w.token.Slot)}}})
	if err != nil {
		return err
	}
	contents, err := s.Contents(ctx)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	for _, k := range contents.Keys {
		report.Lost = append(report.Lost, fmt.Sprintf("key %s (%s, %s)", s.URI(k), key.AlgorithmOf(k.Public), key.TokenFingerprint(k.Public)))
	}
	for _, c := range contents.Certificates {
		report.Lost = append(report.Lost, fmt.Sprintf("certificate %q (%d bytes)", c.Label, len(c.DER)))
	}
	return err
}

// question is what a person confirms.
func (w *tokenWork) question(label string, lost []string) string {
	if !w.token.Initialized {
		return fmt.Sprintf("Initialise the token in %s as %q?", w.token.SlotDescription, label)
	}
	what := "Without its PIN it shows no keys and certificates."
	if len(lost) > 0 {
		what = "These will be lost, and what it does not show without its PIN: " + strings.Join(lost, ", ") + "."
	}
	return fmt.Sprintf("Erase the token %q, serial %s? %s", w.token.Label, w.token.Serial, what)
}

// askPINs gets the PINs before anything is changed.
func (w *tokenWork) askPINs(ctx context.Context) (err error) {
	access := w.options.Access
	if w.so, err = askTokenPIN(ctx, w.token, access, p11.SecurityOfficer, secret.SOPIN, !w.token.Initialized); err != nil {
		return err
	}
	w.user, err = askTokenPIN(ctx, w.token, access, p11.User, secret.PIN, true)
	return err
}

// SetTokenPIN changes the user PIN or the SO PIN of the token that the URI
// names.
func SetTokenPIN(ctx context.Context, m *p11.Module, uri p11.URI, pin PIN, access key.Access) (PINReport, error) {
	what := "set-pin " + string(pin)
	t, report, err := findToken(ctx, m, uri, pin, what)
	if err != nil {
		return report, err
	}
	role, name := p11.User, secret.PIN
	if pin == SO {
		role, name = p11.SecurityOfficer, secret.SOPIN
	}
	if err := t.CheckTries(role, access.AllowLastTry); err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	old, err := askTokenPIN(ctx, t, access, role, name, false)
	if err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	defer old.Wipe()
	replacement, err := askTokenPIN(ctx, t, access, role, secret.NewPIN, true)
	if err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	defer replacement.Wipe()
	_, err = m.SetPIN(ctx, t, role, old, replacement)
	return report, key.Explain(err, what, stateOfPIN(err))
}

// UnblockTokenPIN sets the user PIN by the SO PIN, which gives a blocked one its
// tries back.
func UnblockTokenPIN(ctx context.Context, m *p11.Module, uri p11.URI, pin PIN, with secret.Name, access key.Access) (PINReport, error) {
	what := "unblock-pin " + string(pin)
	t, report, err := findToken(ctx, m, uri, pin, what)
	if err != nil {
		return report, err
	}
	if pin != User || with != secret.SOPIN {
		return report, problem.New(problem.NotSupported, "%s: a PKCS#11 token cannot do that", what).
			Because("The user PIN is unblocked with --so-pin; a blocked SO PIN stays blocked.").
			Hint("cardctl unblock-pin user --so-pin prompt --new-pin prompt")
	}
	if err := t.CheckTries(p11.SecurityOfficer, access.AllowLastTry); err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	so, err := askTokenPIN(ctx, t, access, p11.SecurityOfficer, secret.SOPIN, false)
	if err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	defer so.Wipe()
	replacement, err := askTokenPIN(ctx, t, access, p11.User, secret.NewPIN, true)
	if err != nil {
		return report, key.Explain(err, what, pinUnchanged)
	}
	defer replacement.Wipe()
	_, err = m.InitPIN(ctx, t, so, replacement)
	return report, key.Explain(err, what, stateOfPIN(err))
}

// stateOfPIN is what is known of a PIN when changing it ended with err.
func stateOfPIN(err error) string {
	if problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.PINBlocked) || problem.Is(err, problem.Usage) {
		return pinUnchanged
	}
	return pinUnknown
}

func findToken(ctx context.Context, m *p11.Module, uri p11.URI, pin PIN, what string) (p11.Token, PINReport, error) {
	report := PINReport{PIN: pin}
	switch pin {
	case User, SO:
	case Admin, PUK, ResetCode:
		return p11.Token{}, report, problem.New(problem.NotSupported, "%s: a PKCS#11 token has no such PIN", what).
			Because("It has user and so.")
	default:
		return p11.Token{}, report, problem.New(problem.Usage, "%q is not a PIN", string(pin)).
			Because("The PINs are user, admin, so, puk and reset-code.")
	}
	t, err := m.FindInitialized(ctx, uri)
	report.Serial = t.Serial
	return t, report, key.Explain(err, what, "")
}

// askTokenPIN asks for a PIN, one to be set where it is new, and checks its
// length. It is nil where it is typed at the token itself.
func askTokenPIN(ctx context.Context, t p11.Token, access key.Access, role p11.Role, name secret.Name, isNew bool) (*secret.Bytes, error) {
	if t.PINPad {
		access.Notify(fmt.Sprintf("type the %s of the token %s at the reader", role, t.Label))
		return nil, nil
	}
	request := secret.Request{Name: name, Label: fmt.Sprintf("%s of token %s", role, t.Label), Note: t.TriesNote(role)}
	if isNew {
		request = secret.Request{Name: name, Label: "new " + role.String(), New: true, Note: fmt.Sprintf("at least %d characters", t.MinPINLength)}
	}
	pin, err := access.Ask(ctx, request)
	if err != nil {
		return nil, err
	}
	if err := t.CheckLength(role, pin); err != nil {
		pin.Wipe()
		return nil, err
	}
	return pin, nil
}
