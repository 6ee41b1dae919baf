package openvpn

import (
	"context"
	"errors"
	"strconv"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const (
	askedForID    = "pkcs11-id-request"
	askedForToken = "token-insertion-request"
)

// conversation is what was said so far.
type conversation struct {
	// named says that OpenVPN was told which certificate to use since it asked last.
	named bool
	// pending says that the PIN was sent, and nothing shows yet that the token accepted it;
	// atOnce that nothing else happened since.
	pending, atOnce bool
}

// answer answers what OpenVPN tells. An error ends it.
func (r *run) answer(ctx context.Context, m message) error {
	name, what, asked := m.asked()
	switch m.kind {
	case kindHold:
		return r.release()
	case kindState:
		r.atOnce = false
	case kindFatal:
		r.fatal = m.text
	case kindInfo:
		r.options.Log(m.text)
	case kindRemote, kindProxy:
		return r.cannot(m.kind, "address")
	case kindFailed:
		return r.refused(m.text)
	case kindPassword:
		if asked {
			return r.password(ctx, name, what)
		}
	case kindNeedStr:
		if name == askedForID {
			return r.pick(ctx)
		}
		return r.cannot(name, what)
	case kindNeedOK:
		if name == askedForToken {
			return r.missing(ctx)
		}
		return r.cannot(name, what)
	}
	return nil
}

// release lets OpenVPN begin, and begin again by itself after that.
func (r *run) release() error {
	for _, words := range [][]string{{"state", "on"}, {"hold", "off"}, {"hold", "release"}} {
		if err := r.peer.command(words...); err != nil {
			return err
		}
	}
	return nil
}

// refused is a command that OpenVPN does not take. What it says of one with a PIN is not
// repeated.
func (r *run) refused(why string) error {
	p := problem.New(problem.Failed, "OpenVPN refused a command of its management interface")
	if r.pending {
		return p.Because("It was the one with the PIN.")
	}
	return p.Because("%s", problem.Sentence(why))
}

// pick looks at the certificates that OpenVPN sees, and names the one of this key.
func (r *run) pick(ctx context.Context) error {
	r.named, r.atOnce = false, false
	m, err := r.ask(ctx, kindPID, "pid")
	if err != nil {
		return err
	}
	if m.text != strconv.Itoa(r.program.cmd.Process.Pid) {
		return r.inBackground()
	}
	if m, err = r.ask(ctx, kindIDCount, "pkcs11-id-count"); err != nil {
		return err
	}
	n, err := m.count()
	if err != nil {
		return err
	}
	for i := range n {
		if m, err = r.ask(ctx, kindIDEntry, "pkcs11-id-get", strconv.Itoa(i)); err != nil {
			return err
		}
		e, err := m.entry(i)
		if err != nil {
			return err
		}
		if r.wanted.isFor(e) {
			r.named = true
			return r.peer.command("needstr", askedForID, e.id)
		}
	}
	if err := r.wanted.Still(ctx); err != nil {
		return err
	}
	return problem.New(problem.NotFound, "OpenVPN does not see the certificate of %s", r.wanted.Ref).
		Because("It sees %d other certificates in %s.", n, r.module).Advise(advice.Do(advice.Diagnose))
}

// ask sends a command and waits for the answer. Nothing is asked meanwhile but the PINs of
// tokens that hide certificates, which are not sent: OpenVPN does not say which token of
// those with the same label it means.
func (r *run) ask(ctx context.Context, kind string, command ...string) (message, error) {
	if err := r.peer.command(command...); err != nil {
		return message{}, err
	}
	for {
		m, err := r.next(ctx, nil)
		switch {
		case err != nil || m.kind == kind:
			return m, err
		case m.kind == kindNeedStr || m.kind == kindHold:
			return m, garbled(m.kind)
		}
		if err := r.answer(ctx, m); err != nil {
			return m, err
		}
	}
}

// password answers for the PIN of the token that has the key, and for nothing else.
func (r *run) password(ctx context.Context, name, what string) error {
	switch {
	case what != "password" || name != r.wanted.token.Label+" token":
		return r.cannot(name, what)
	case !r.named:
		return problem.New(problem.NotSupported, "OpenVPN asked for the PIN of %q before a certificate was picked, and it was not sent", name).
			Because("Another token can have the same label. OpenVPN asks so early with the option %s.", tooEarly).
			Advise(r.options.search("config"))
	case r.pending:
		return r.notAccepted()
	}
	return r.wanted.send(ctx, func(ctx context.Context, value *secret.Bytes) error {
		r.pending, r.atOnce = true, true
		if err := r.peer.send(value, "password", name); err != nil {
			return err
		}
		return r.serve(ctx)
	})
}

// notAccepted ends OpenVPN, which asks again after a wrong PIN, before the tries left are
// read. It asks at once only where the token called the PIN wrong.
func (r *run) notAccepted() error {
	wrong := r.atOnce
	if r.end(); wrong {
		return &pin.WrongError{Cause: errors.New("the token rejected it, and OpenVPN asked again")}
	}
	return problem.New(problem.Failed, "OpenVPN asked for the PIN again, and it was not sent again").
		Because("OpenVPN asked twice and was not connected in between.").Advise(advice.Do(advice.ShowCard))
}

// cannot refuses to answer a question that is not about the card.
func (r *run) cannot(name, what string) error {
	p := problem.New(problem.NotSupported, "OpenVPN asked for something else than the PIN of the card: %s of %q", what, name).
		Because("cardctl gave it nothing.").Advise(advice.Do(advice.Help))
	if name == "Auth" {
		p = p.Because("cardctl gave it nothing. OpenVPN reads the user name and the password from a file that stands behind auth-user-pass.").
			Advise(r.options.search("auth-user-pass"))
	}
	return p
}

// inBackground is the error of an OpenVPN that left this process: it could not be waited
// for.
func (r *run) inBackground() error {
	return problem.New(problem.Usage, "OpenVPN went into the background").
		Because("There cardctl cannot wait for it. Something that the configuration includes has the option daemon.").
		Advise(r.options.search("config"))
}

// missing is a token that OpenVPN does not find any more.
func (r *run) missing(ctx context.Context) error {
	r.end()
	removed := problem.New(problem.CardRemoved, "the card was removed").
		Because("OpenVPN asked for the token %q.", r.wanted.token.Label).Advise(advice.Do(advice.ListTokens))
	if err := r.wanted.Still(ctx); err != nil && !problem.Is(err, problem.NotFound) {
		return err
	} else if r.wanted.Reader != "" && err == nil {
		return problem.New(problem.NotFound, "OpenVPN does not see the card any more").
			Because("The card is in its reader. OpenVPN asked for the token %q.", r.wanted.token.Label).Advise(advice.Do(advice.Diagnose))
	}
	return removed
}
