package chain

import (
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// TestNameConstraintsOfEveryType compares each verdict with that of OpenSSL and of
// crypto/x509, where these check the type.
func TestNameConstraintsOfEveryType(t *testing.T) {
	const tree = "\n[dir]\nO=Snake Oil\n[other]\nO=Other\n[odd]\nO=sNAKE   oil"
	type name struct {
		alternative string // subjectAltName, or a subject if it begins with a slash
		in          bool
	}
	for _, test := range []struct {
		subtree string // as OpenSSL's configuration has it
		names   []name
		// exempt are judges that compare otherwise, with the reason.
		exempt map[string]string
	}{
		{"DNS:example.com", []name{
			{"DNS:example.com", true}, {"DNS:a.example.com", true}, {"DNS:a.b.EXAMPLE.com", true},
			{"DNS:badexample.com", false}, {"DNS:example.org", false}, {"DNS:com", false},
		}, nil},
		{"email:example.com", []name{
			{"email:me@example.com", true}, {"email:me@EXAMPLE.com", true}, {"email:me@a.example.com", false}, {"email:me@example.org", false},
		}, map[string]string{"crypto/x509": "takes a host for all below it too"}},
		{"email:.example.com", []name{{"email:me@a.example.com", true}, {"email:me@example.com", false}}, nil},
		{"email:me@example.com", []name{
			{"email:me@example.com", true}, {"email:me@EXAMPLE.COM", true}, {"email:you@example.com", false}, {"email:ME@example.com", false},
		}, nil},
		{"email:example.com", []name{
			{"/O=Snake Oil/emailAddress=me@example.com", true}, {"/O=Snake Oil/emailAddress=me@example.org", false},
		}, map[string]string{"crypto/x509": "does not look for addresses in the subject"}},
		{"URI:example.com", []name{
			{"URI:https://example.com/a", true}, {"URI:https://EXAMPLE.com:8443/a", true}, {"URI:https://a.example.com/", false}, {"URI:https://example.org/", false},
		}, map[string]string{"crypto/x509": "takes a host for all below it too"}},
		{"URI:.example.com", []name{{"URI:https://a.example.com/", true}, {"URI:https://example.com/", false}}, nil},
		{"IP:10.0.0.0/255.0.0.0", []name{{"IP:10.1.2.3", true}, {"IP:11.0.0.1", false}}, nil},
		{"IP:2001:db8::/ffff:ffff::", []name{{"IP:2001:db8::1", true}, {"IP:2001:db9::1", false}}, nil},
		{"dirName:dir", []name{{"/O=Snake Oil/CN=leaf", true}, {"/O=Other/CN=leaf", false}, {"/CN=leaf/O=Snake Oil", false}},
			map[string]string{"crypto/x509": "does not compare directory names"}},
		{"dirName:odd", []name{{"/O=Snake Oil/CN=leaf", true}, {"/O=SNAKE OIL/CN=leaf", true}, {"/O=Other/CN=leaf", false}},
			map[string]string{"crypto/x509": "does not compare directory names"}},
		{"dirName:other", []name{{"dirName:other", true}, {"dirName:dir", false}},
			map[string]string{"crypto/x509": "does not compare directory names"}},
	} {
		for _, kind := range []string{"permitted", "excluded"} {
			a := newAuthority(t)
			a.key("ca", "prime256v1")
			a.key("leaf", "prime256v1")
			ca := a.root("ca", caExtensions+"\nnameConstraints=critical,"+kind+";"+test.subtree+tree)
			for _, n := range test.names {
				options, extensions := []string{"-subj", "/O=Other/CN=leaf"}, "subjectAltName="+n.alternative+tree
				if strings.HasPrefix(n.alternative, "/") {
					options[1], extensions = n.alternative, "basicConstraints=CA:FALSE"
				}
				leaf := a.issue("leaf", "ca", extensions, options...)
				want := n.in == (kind == "permitted")
				if kind == "permitted" && strings.HasPrefix(n.alternative, "dirName") { // the subject has to be within too
					want = n.in && test.subtree == "dirName:other"
				} else if kind == "excluded" && strings.HasPrefix(n.alternative, "dirName") {
					want = false // as the subject is
				}
				verdicts := map[string]bool{
					"constraints": constraints([]*cert.Certificate{leaf, ca}) == nil,
					"Verify":      verify(t, leaf, ca) == nil,
					"openssl":     exec.Command("openssl", "verify", "-CAfile", filepath.Join(a.dir, "ca.pem"), filepath.Join(a.dir, "leaf.pem")).Run() == nil,
					"crypto/x509": standardAccepts(leaf, ca),
				}
				for judge, allowed := range verdicts {
					if allowed != want && test.exempt[judge] == "" {
						t.Errorf("%s;%s and %s: %s says %v", kind, test.subtree, n.alternative, judge, allowed)
					}
				}
			}
		}
	}
}

// standardAccepts has crypto/x509 verify.
func standardAccepts(leaf, ca *cert.Certificate) bool {
	strict, root := leaf.Standard(), ca.Standard()
	if strict == nil || root == nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := strict.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: time.Now()})
	return err == nil
}
