package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/test/opensc"
)

// TestCertificateEnteredAllTheSame has a card carry out a command that writes a certificate,
// and answer with a warning: what is said of it is true, and the same command goes on. It
// does so for the first certificate of a key and for one that is replaced.
func TestCertificateEnteredAllTheSame(t *testing.T) {
	for _, kind := range []string{"pkcs15", "myeid"} {
		puk, algorithm := "27182818", "p256"
		if kind == "pkcs15" {
			puk, algorithm = "2718281828459045", "rsa2048"
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := &testDesk{t: t, state: t.TempDir(), vars: []string{
				"CARDCTL_READER=" + opensc.Reader, "CARDCTL_PIN=" + userPIN, "CARDCTL_NEW_PIN=" + userPIN, "CARDCTL_PUK=" + puk,
			}}
			d.must("sim", "create", "desk", "--applications", kind)
			d.inReader = true
			for _, line := range []string{"init --app pkcs15 --yes", "gen-key -k PKCS15.45 -a " + algorithm} {
				d.must(append(d.words(line), "--allow-unknown-tries")...)
			}
			for _, name := range []string{"first", "second"} {
				d.must(d.words("gen-csr -k PKCS15.45 --subject CN=" + name + " --self-signed --days 2 --allow-unknown-tries --out $W/" + name + ".pem")...)
				put := d.words("import-cert -k PKCS15.45 --yes --allow-unknown-tries $W/" + name + ".pem")
				start := d.save()
				honest := d.run(context.Background(), put, cardsim.RemoveBefore(1<<30))
				if honest.exit != 0 {
					t.Fatalf("%+v", honest)
				}
				for n := 1; n <= honest.traffic.APDUs; n++ {
					d.restore(start)
					r := d.run(context.Background(), put, cardsim.Lie(n, 0x6200, true))
					t.Run(fmt.Sprintf("%s, command %d", name, n), func(t *testing.T) {
						here := d.in(t)
						there := len(here.info().Certificates)
						if strings.Contains(r.stderr, "The card has no certificate, as before.") && there != 0 {
							t.Errorf("%d certificates\n%s", there, r.stderr)
						}
						if strings.Contains(r.stderr, "lost") {
							t.Errorf("%s", r.stderr)
						}
						here.must(put...)
						if there := len(here.info().Certificates); there != 1 {
							t.Errorf("%d certificates in the end", there)
						}
					})
				}
				d.restore(start)
				d.must(put...)
			}
		})
	}
}
