package smoke

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Library is a TLS library, whose choices a handshake makes.
type Library string

// The libraries of the programs that use cards: OpenSSL with its engine for
// PKCS#11 (OpenVPN, curl, nginx), GnuTLS (wget), NSS (Firefox, Thunderbird,
// Chromium), and Go's crypto/tls.
const (
	OpenSSL Library = "openssl"
	GnuTLS  Library = "gnutls"
	NSS     Library = "nss"
	Go      Library = "go"
)

func libraries() []Library { return []Library{OpenSSL, GnuTLS, NSS, Go} }

// Names are the names of all libraries.
func Names() []string { return names(libraries()) }

func names(of []Library) []string {
	list := make([]string, len(of))
	for i, library := range of {
		list[i] = string(library)
	}
	return list
}

// habits are what a library does with a key on a card.
type habits struct {
	// asks says that it looks for CKM_RSA_PKCS_PSS before it chooses RSASSA-PSS. One
	// that does not signs with it wherever the server accepts it, in TLS 1.2 too.
	asks bool
	// pads says that it makes RSASSA-PSS of CKM_RSA_X_509, too.
	pads bool
	// edwards says that it uses Ed25519 keys.
	edwards bool
	// told says that it is told which digests the key signs, and leaves the hashing to a
	// module that wants it.
	told bool
}

var habitsOf = map[Library]habits{
	OpenSSL: {pads: true},
	GnuTLS:  {asks: true, edwards: true},
	NSS:     {asks: true},
	Go:      {asks: true, pads: true, edwards: true, told: true},
}

// choice is what one or more libraries do with the key in a version of TLS: the
// signature that they choose, or the reason why they cannot.
type choice struct {
	by     []Library
	scheme tls.SignatureScheme
	reason string
}

// choices are what the libraries do, each once.
func (r *run) choices(ctx context.Context, version uint16) []choice {
	var all []choice
	for _, library := range r.libraries() {
		c := r.prospect().chooses(ctx, library, version)
		at := slices.IndexFunc(all, func(other choice) bool { return other.scheme == c.scheme && other.reason == c.reason })
		if at < 0 {
			all = append(all, c)
			continue
		}
		all[at].by = append(all[at].by, library)
	}
	return all
}

// prospect is the key, with what it was seen to refuse.
func (r *run) prospect() prospect { return prospect{r.key, r.refused} }

// libraries are those that are asked about.
func (r *run) libraries() []Library {
	if r.o.As != "" {
		return []Library{r.o.As}
	}
	return libraries()
}

// ParseLibrary reads the name of a library; empty is none.
func ParseLibrary(name string) (Library, error) {
	library := Library(strings.ToLower(name))
	if name == "" || slices.Contains(libraries(), library) {
		return library, nil
	}
	return "", problem.New(problem.Usage, "unknown TLS library").
		Because("Valid libraries: %s.", strings.Join(Names(), ", ")).
		Advise(advice.Repeat(advice.Set(advice.As, string(OpenSSL))))
}

// named lists libraries in a sentence.
func named(of []Library) string {
	list := names(of)
	last := len(list) - 1
	if last == 0 {
		return list[0]
	}
	return strings.Join(list[:last], ", ") + " and " + list[last]
}
