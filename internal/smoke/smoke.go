// Package smoke proves that a key and its certificate work where they will be
// used: through the PKCS#11 module that browsers, mail programs and VPNs load.
// It finds card, certificate and key there, signs with everything that module,
// card and key have in common, verifies with Go's own code, decrypts, and goes
// through TLS handshakes. Reaching the module is left to package p11, showing
// the report to the command line.
package smoke

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// Options say what is to be proved, of which key, and how the user is reached.
type Options struct {
	// Module is a name or path for p11.Load; empty for the module that the URI
	// names, else desk.DefaultModule.
	Module string
	// Key is how the report calls the key: OPENPGP.3, or its URI.
	Key string

	// Reader is the reader that the card was looked at in, Holder what programs
	// know it by. Both are empty for a token that the URI alone finds.
	Reader string
	Holder key.Holder
	// There looks whether the card is still there, and the same, where a module does
	// not show it; nil for a token.
	There func(ctx context.Context) error
	// URI names token and key; the zero URI leaves it to the others.
	URI p11.URI
	// Public is the key as the card itself tells it, Certificate the
	// certificate that the card holds for it. Both may be nil: then the
	// module's word is taken.
	Public      crypto.PublicKey
	Certificate *cert.Certificate
	// Stored reads the certificate of a key from its card, in DER.
	Stored func(ctx context.Context, k key.Key) ([]byte, error)
	// Chain are issuers' certificates, which are sent along in TLS.
	Chain []*cert.Certificate

	// Policy sends the user PIN, once. PIN tells of it what the card itself does;
	// without Tries there is only the module to know, and TokenPIN is asked. The
	// card must be free for the module while Run works, so that Tries takes it
	// and lets it go.
	Policy   *pin.Policy
	PIN      pin.PIN
	TokenPIN func(m *p11.Module, s *p11.Session) pin.PIN
	// Load loads a module, which its user closes; driver is OpenSC's name for
	// that of the card.
	Load func(ctx context.Context, name, driver string) (*p11.Module, error)
	// Notify tells the user that the PIN is to be typed at the reader. It may
	// be nil.
	Notify func(message string)

	// TLS adds handshakes on loopback, with the choices of all libraries, or of one.
	TLS bool
	As  Library
	// TLSConnect is HOST:PORT of a real server to shake hands with.
	TLSConnect string
	// ServerCAs verify that server; none for those of the system.
	ServerCAs []*cert.Certificate

	// Now is the time for the validity of certificates, time.Now if nil.
	Now func() time.Time
	// Progress is told of each check when it is done. It may be nil.
	Progress func(Check)
}

// Report is what was found.
type Report struct {
	Module string  `json:"module"` // the file
	Token  string  `json:"token"`  // its URI
	Key    string  `json:"key"`
	Checks []Check `json:"checks"`
	Passed bool    `json:"passed"`
}

// Check is one thing that was looked at.
type Check struct {
	Name         string `json:"name"`
	Result       Result `json:"result"`
	Detail       string `json:"detail"`
	Milliseconds int64  `json:"milliseconds"`
}

// Result is how a check ended. A skip says why it cannot be and what to do
// about it; it does not fail the report.
type Result string

// The results.
const (
	Pass Result = "pass"
	Fail Result = "fail"
	Skip Result = "skip"
)

// RunAll makes the checks for several keys, one after the other, and goes on after
// one that failed where the next can still tell something. Keys on one token share
// a login, so that its PIN is asked for and sent once. After a failure that may cost
// tries, or that leaves no card, no other key is looked at; its report has no checks.
// The reports are good also with an error, which is the first failure:
// problem.Mismatch for a wrong signature or certificate, problem.NotFound for a
// module, token, certificate or key that is not there, problem.PINIncorrect and
// PINBlocked for the login.
func RunAll(ctx context.Context, all []Options) ([]Report, error) {
	var (
		at       = newBench(all)
		reports  = make([]Report, 0, len(all))
		failed   error
		finished bool
	)
	for _, o := range all {
		r := newRun(o, at)
		if !finished {
			r.checkAll(ctx)
			finished = r.stopped || ctx.Err() != nil
			r.report.Passed = r.failed == nil
		}
		reports = append(reports, r.report)
		if failed == nil {
			failed = r.failed
		}
	}
	if err := at.close(); err != nil && failed == nil {
		failed, reports[len(reports)-1].Passed = err, false
	}
	var p *problem.Error
	if errors.As(failed, &p) && problem.Gone(p) {
		failed = problem.Wrap(p.Code, p, p.What).Because("%s", problem.Sentences(p.Reason(), key.Untouched))
	}
	return reports, failed
}

func (r *run) checkAll(ctx context.Context) {
	if r.o.TLSConnect != "" {
		if _, err := hostOf(r.o.TLSConnect); err != nil {
			r.keep(err)
			return
		}
	}
	r.checkKey(ctx)
	if (problem.Is(r.failed, problem.NotFound) || problem.Is(r.failed, problem.Failed)) && !r.proved {
		r.blameModule(ctx)
	}
	if r.failed == nil && !r.proved {
		r.failed = problem.New(problem.NotSupported, "nothing could be proved").
			Because("Through this module the key neither signs nor decrypts.").
			Advise(r.listTokens())
	}
}

// blameModule says of a key that could not be used that the module does not know its
// kind, if that is so.
func (r *run) blameModule(ctx context.Context) {
	public := r.public()
	if r.session == nil || public == nil {
		return
	}
	if serves, err := r.session.Serves(ctx, public); err != nil || serves {
		return
	}
	r.failed = problem.New(problem.NotSupported, "%s does not use %s keys on this card", r.report.Module, key.AlgorithmOf(public)).
		Because("It lists no mechanism for keys of this kind and length. A newer version may have one.").
		Advise(r.listTokens())
}

func (r *run) listTokens() advice.Advice {
	return advice.Do(advice.ListTokens, advice.Set(advice.Module, r.report.Module))
}

func (r *run) checkKey(ctx context.Context) {
	if !r.openModule(ctx) || !r.findToken(ctx) {
		return
	}
	r.checkCertificate(ctx)
	if !r.login(ctx) || !r.findKey(ctx) {
		return
	}
	r.checkSignatures(ctx)
	r.checkDecryption(ctx)
	if r.o.TLS {
		r.checkLoopback(ctx)
	}
	if r.o.TLSConnect != "" {
		r.checkServer(ctx)
	}
}
