package p11

import (
	"bytes"
	"context"
	"crypto"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/miekg/pkcs11"
)

// Wanted says which key is looked for, by any of these. A label is no proof
// of anything and counts only where the URI has one.
type Wanted struct {
	// Reader is the PC/SC name of the reader that the card is in, where it was
	// looked at there: of two cards with one serial number it is that one.
	Reader string
	// Serial is the card's serial number in hex digits. An OpenPGP card's is
	// 12 of them, manufacturer and number.
	Serial string
	// Token is the label of the token that has the PIN of the key, where the
	// module may make several of a card and calls one so.
	Token string
	// URI names the token, the key (id, object), or both.
	URI URI
	// Public is the public half of the key.
	Public crypto.PublicKey
}

// namesKey reports whether one key is meant, and not just a token.
func (w Wanted) namesKey() bool {
	_, byID := w.URI.Get(AttrID)
	_, byLabel := w.URI.Get(AttrObject)
	return w.Public != nil || byID || byLabel
}

// isKey reports whether an object with these attributes belongs to the key.
func (w Wanted) isKey(public crypto.PublicKey, id []byte, label string) bool {
	if !w.namesKey() || w.Public != nil && !pubkey.Same(public, w.Public) {
		return false
	}
	if want, ok := w.URI.Get(AttrID); ok && want != string(id) {
		return false
	}
	if want, ok := w.URI.Get(AttrObject); ok && want != label {
		return false
	}
	return true
}

// Found is what a token shows of a key.
type Found struct {
	Public crypto.PublicKey
	// Certificates are those for the key.
	Certificates []*cert.Certificate

	ids [][]byte
}

// Find opens a session on the token that holds the wanted key. A module may make
// several tokens of one card, one of every PIN, and show public keys and
// certificates on all of them; the session is on the first that shows the key,
// and Key may move on to the others. It is a problem.NotFound where there is no
// such token, or there are several cards with the key. It does not log in; the
// caller closes the session.
func (m *Module) Find(ctx context.Context, w Wanted) (*Session, error) {
	if name, ok := w.URI.unknown(); ok {
		return nil, unknownAttribute(name)
	}
	read := m.candidates
	if w.Reader != "" {
		read = func(ctx context.Context, _ URI) ([]Token, error) { return m.present(ctx, m.state) }
	}
	tokens, err := read(ctx, w.URI)
	if err != nil {
		return nil, err
	}
	here, err := m.ofReader(ctx, w.Reader, tokens)
	if err != nil {
		return nil, err
	}
	var candidates []Token
	for _, t := range here {
		if t.Initialized && m.matches(w.URI, t) && (w.Serial == "" || t.IsCard(w.Serial)) {
			candidates = append(candidates, t)
		}
	}
	if len(candidates) == 0 {
		return nil, m.noToken(w, tokens)
	}
	if named := slices.DeleteFunc(slices.Clone(candidates), func(t Token) bool { return !t.IsCalled(w.Token) }); len(named) > 0 {
		candidates = named
	}
	return m.choose(ctx, w, candidates)
}

// choose opens the candidate on which the key is seen. Where it is seen on
// none, because a token may hide what it has until the login, one candidate is
// taken as it is.
func (m *Module) choose(ctx context.Context, w Wanted, candidates []Token) (*Session, error) {
	var (
		chosen *Session
		seen   []Token
	)
	for _, t := range candidates {
		s, err := m.open(ctx, t)
		if err == nil {
			err = s.look(ctx, w)
		}
		if err != nil {
			_ = s.Close()
			_ = chosen.Close()
			return nil, err
		}
		if s.found.Public != nil {
			seen = append(seen, s.token)
		}
		if chosen == nil && (s.found.Public != nil || len(candidates) == 1) {
			chosen = s
			continue
		}
		_ = s.Close()
	}
	if chosen == nil {
		return nil, problem.New(problem.NotFound, "%s: no token shows the key", m.name()).
			Because("Several tokens match, and none of them shows its keys before the login: %s.", labels(candidates)).
			Advise(m.list())
	}
	if !sameCard(seen) {
		_ = chosen.Close()
		return nil, problem.New(problem.NotFound, "%s: several tokens have the key", m.name()).
			Because("These tokens have it: %s.", labels(seen)).
			Advise(m.list())
	}
	if len(seen) > 1 {
		chosen.others = seen[1:]
	}
	return chosen, nil
}

// sameCard reports whether the tokens are parts of one card, which is in one
// reader.
func sameCard(tokens []Token) bool {
	for _, t := range tokens {
		if t.Serial != tokens[0].Serial || t.Manufacturer != tokens[0].Manufacturer || t.SlotDescription != tokens[0].SlotDescription {
			return false
		}
	}
	return len(tokens) <= 1 || tokens[0].Serial != ""
}

func (m *Module) noToken(w Wanted, tokens []Token) error {
	what := problem.New(problem.NotFound, "%s shows no such token", m.name())
	switch {
	case w.Reader != "":
		what = problem.New(problem.NotFound, "%s does not show the card in the reader %q", m.name(), w.Reader)
	case w.Serial != "":
		what = problem.New(problem.NotFound, "%s does not show the card %s", m.name(), w.Serial)
	}
	if len(tokens) == 0 {
		return what.Because("The module shows no token at all. It does not recognise the card, or another program holds the card.").
			Advise(advice.Do(advice.Diagnose))
	}
	return what.Because("The module shows %s.", labels(tokens)).Advise(m.list())
}

func labels(tokens []Token) string {
	var list []string
	for _, t := range tokens {
		list = append(list, t.described())
	}
	return strings.Join(list, ", ")
}

func (m *Module) name() string { return filepath.Base(m.path) }

// look notes what the token shows of the key now.
func (s *Session) look(ctx context.Context, w Wanted) error {
	shown, err := again(ctx, s, "C_FindObjects", func() (*Reading, error) { return s.shown(w) })
	if err != nil {
		return s.judge(ctx, err)
	}
	s.wanted, s.found = w, Found{}
	for _, o := range shown.publics {
		public, n := o.values.publicKey(), o.values.name()
		if public == nil || !w.isKey(public, n.id, n.label) {
			continue
		}
		if err := s.find(public, n.id); err != nil {
			return err
		}
	}
	told := s.found.Public != nil
	var certificates []StoredCertificate
	for _, o := range shown.certificates {
		c := newStoredCertificate(o.handle, o.values)
		if c.parsed != nil && (s.isFound(c.parsed.PublicKey) || w.isKey(c.parsed.PublicKey, c.ID, c.Label)) {
			certificates = append(certificates, c)
		}
	}
	for _, c := range withoutIssuers(certificates) {
		id := c.ID
		if told { // the key's own ID is known, whatever that of the certificate is
			id = nil
		}
		if err := s.find(c.parsed.PublicKey, id); err != nil {
			return err
		}
		s.found.Certificates = append(s.found.Certificates, c.parsed)
	}
	return nil
}

// shown are the certificates and public keys that can be of the key. A certificate
// may have another label than its key: programs find it by the ID.
func (s *Session) shown(w Wanted) (*Reading, error) {
	r := s.reading()
	having := w.URI.name()
	if having == nil {
		return r, r.everything(maxObjects)
	}
	if err := r.search(*having); err != nil || having.kind == pkcs11.CKA_ID || len(r.certificates) > 0 {
		return r, err
	}
	for _, id := range r.ids() {
		if err := r.search(objectAttribute{pkcs11.CKA_ID, id}); err != nil {
			return r, err
		}
	}
	return r, nil
}

// isFound reports whether this is the key that was found.
func (s *Session) isFound(public crypto.PublicKey) bool {
	return s.found.Public != nil && pubkey.Same(s.found.Public, public)
}

// find notes the key, by an object that has its public half.
func (s *Session) find(public crypto.PublicKey, id []byte) error {
	if s.found.Public != nil && !pubkey.Same(s.found.Public, public) {
		return problem.New(problem.NotFound, "%s: the URI matches several keys on the token %q", s.module.name(), s.token.Label).
			Because("These keys have the same ID or label, but different public keys.").
			Advise(advice.Run("pkcs11-tool", "--module", s.module.path, "--list-objects"))
	}
	s.found.Public = public
	if len(id) > 0 && !contains(s.found.ids, id) {
		s.found.ids = append(s.found.ids, bytes.Clone(id))
	}
	return nil
}

// withoutIssuers leaves out the certificates of CAs that issued another one of them:
// Scute shows the chain of a certificate under its ID and label.
func withoutIssuers(stored []StoredCertificate) []StoredCertificate {
	var certificates, issuers []*cert.Certificate
	for _, c := range stored {
		certificates = append(certificates, c.parsed)
	}
	for _, c := range certificates {
		issuers = append(issuers, chain.Issuers(c, certificates, len(certificates))...)
	}
	return slices.DeleteFunc(slices.Clone(stored), func(c StoredCertificate) bool { return slices.ContainsFunc(issuers, c.parsed.Equal) })
}
