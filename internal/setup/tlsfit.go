package setup

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/smoke"
)

// forTLS refuses a key that a program with this library cannot use for TLS. Lower says
// that it must not use anything newer than TLS 1.2, which was allowed.
func (j *job) forTLS(ctx context.Context, program string, library smoke.Library) (lower bool, err error) {
	if err := j.certified(program); err != nil {
		return false, err
	}
	if err := smoke.MayAuthenticate(j.key.certificate, j.key.Ref); err != nil {
		return false, err
	}
	if library == smoke.OpenSSL {
		return j.lowersOpenSSL(ctx, program)
	}
	able, err := j.able(ctx, library)
	if err != nil {
		return false, err
	}
	return lowers(program, j.key.Ref, able, j.AllowTLS12)
}

// lowersOpenSSL is lowers for a program with OpenSSL, which gets a configuration of its
// own.
func (j *job) lowersOpenSSL(ctx context.Context, program string) (bool, error) {
	able, err := j.able(ctx, smoke.OpenSSL)
	if err != nil {
		return false, err
	}
	if pubkey.IsRSA(j.key.public) {
		able.TLS12 = "" // the configuration takes RSA-PSS out
	}
	return lowers(program, j.key.Ref, able, j.AllowTLS12)
}

// certified refuses a key without a certificate, by which a program finds it.
func (j *job) certified(program string) error {
	if j.key.certificate != nil {
		return nil
	}
	return problem.New(problem.NotFound, "%s has no certificate", j.key.Ref).
		Because("%s finds a key by its certificate.", program).Advise(importCertificate(j.key.Ref))
}

func doesNotUse(program, ref, why string) error {
	return problem.New(problem.NotSupported, "%s does not use the key %s", program, ref).
		Because("%s Use a p256 key.", problem.Sentence(why)).
		Advise(generateP256())
}

// able is what a library can do with the key in TLS.
func (j *job) able(ctx context.Context, library smoke.Library) (able smoke.Ability, err error) {
	err = j.key.Through(ctx, func(_ *p11.Module, s *p11.Session) error {
		able, err = smoke.Able(ctx, s, j.key.public, j.key.Holder.WholeDigests, library)
		return err
	})
	return able, err
}

// lowers reports whether a program has to be limited to TLS 1.2 for a key, and refuses
// that if it was not allowed.
func lowers(program, ref string, able smoke.Ability, allowed bool) (bool, error) {
	switch {
	case able.TLS13 == "":
		return false, nil
	case able.TLS12 != "":
		return false, doesNotUse(program, ref, able.TLS12)
	case !allowed:
		return false, problem.New(problem.NotSupported, "%s uses the key %s only with TLS 1.2", program, ref).
			Because("%s A p256 key works with TLS 1.3.", problem.Sentence(able.TLS13)).Advise(advice.Repeat(advice.Switch(advice.AllowTLS12)))
	}
	return true, nil
}

// loweredTLS is what a person has to know of a browser that is limited to TLS 1.2.
const loweredTLS = "TLS 1.3 is off for all sites, and with it HTTP/3 and Encrypted Client Hello. Sites that need TLS 1.3 do not open."
