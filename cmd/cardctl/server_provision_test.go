package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// office is an issuer of a plan: its fields there, its secret, a wrong one and what comes
// of that, and how many certificates it has issued.
type office struct {
	fields, secret, wrong string
	exit                  int
	says                  string
	issued                func() int
}

// offices are issuers that no program at hand is a server of, and a command.
var offices = map[string]func(d *rowsDesk) office{
	"Vault": func(d *rowsDesk) office {
		s := issuers.NewVault(d.t)
		return vaultOffice(d, s, "", s.Token, "permission denied for …")
	},
	"Vault AppRole": func(d *rowsDesk) office {
		s := issuers.NewVault(d.t)
		s.Mount, s.SecretID = "team/pki", "736451-secret"
		token := s.Token
		s.Answer = func(_ http.ResponseWriter, _ *http.Request) bool { s.Token = token; return false } // as if each login gave another one
		return vaultOffice(d, s, "/team/pki?role_id=role-736", s.SecretID, "invalid role or secret ID …")
	},
	"EJBCA": func(d *rowsDesk) office {
		s := issuers.NewEJBCA(d.t, tls.VersionTLS13)
		d.rootOf(s.CA)
		d.officer(s.CA)
		fields := fmt.Sprintf(`url: %q, ca: "$W/root.pem", secret: "env:OFFICE", key: OPENPGP.3, reader: "sim:officer", pin: "env:OFFICER_PIN"`, s.Address("{{.mail}}"))
		return office{fields, s.Password, "736452", 1, "Wrong password …", func() (n int) {
			for _, user := range s.Users {
				if strings.HasSuffix(user, "@example.com") {
					n++
				}
			}
			return n
		}}
	},
	"a command": func(d *rowsDesk) office {
		d.commandCA()
		d.writeFile("word", []byte("736451"))
		return office{
			`url: "command:test $OFFICE = $(cat $W/word) && ` + certifies + `"`, "736451", "736452", 1, "It ended with status 1.",
			func() int { return len(strings.Fields(string(d.fileOf("issued")))) },
		}
	},
}

// vaultOffice is a role of Vault.
func vaultOffice(d *rowsDesk, s *issuers.Vault, path, secret, says string) office {
	d.rootOf(s.CA)
	fields := fmt.Sprintf(`url: "vault+https://client@%s%s", ca: "$W/root.pem", secret: "env:OFFICE"`, s.At.Host, path)
	return office{fields, secret, "hvs.736452-wrong", 1, says, func() int { return s.Issued }}
}

// rootOf writes root.pem, the certificate of an issuer.
func (d *rowsDesk) rootOf(root *certs.Authority) {
	d.t.Helper()
	d.writeFile("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
}

// officer makes the card sim:officer, whose key an issuer has certified.
func (d *rowsDesk) officer(by *certs.Authority) {
	d.t.Helper()
	d.vars = append(d.vars, "OFFICER_PIN="+userPIN)
	d.line("sim create officer")
	d.line("init -r sim:officer --yes")
	d.line("gen-key -r sim:officer -k OPENPGP.3")
	request, err := csr.Read([]byte(d.line("gen-csr -r sim:officer -k OPENPGP.3 --subject CN=officer").stdout))
	if err != nil {
		d.t.Fatal(err)
	}
	made := by.Issue(d.t, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}}, request.PublicKey)
	d.writeFile("officer.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw}))
	d.line("import-cert -r sim:officer -k OPENPGP.3 $W/officer.pem")
}

// TestPlansOfServers has a plan get certificates for two cards at once, after it was given
// a wrong secret, and renew them. Vault and EJBCA are servers of the test.
func TestPlansOfServers(t *testing.T) {
	for name, serve := range offices {
		for of, kind := range cardKinds {
			t.Run(name+" "+of, func(t *testing.T) {
				t.Parallel()
				d := newRowsDesk(t, kind.plan)
				by := serve(d)
				d.plan(strings.Replace(kind.plan, "issuer: desk", "issuer: office", 1) + "\nissuers: {office: {" + by.fields + "}}")
				d.rows("floppy@example.com,Floppy Head", "hard@example.com,Hard Disk")
				keys := map[string]string{"a": "", "b": ""}
				for card := range keys {
					d.line("sim create " + card + " " + kind.create)
				}
				const readers = "--readers sim:a,sim:b --identity $W/desk.key --trace $W/trace"

				vars := d.vars
				d.vars = append(vars, "OFFICE="+by.wrong)
				for again := range 2 {
					r := d.provision(by.exit, readers)
					if said := r.stdout + r.stderr; !strings.Contains(said, by.says) || strings.Contains(said, by.wrong) || by.issued() > 0 {
						t.Errorf("%d issued: %s", by.issued(), said)
					}
					for card, before := range keys {
						keys[card] = d.keyOf(card, kind.key)
						if keys[card] == "" || again > 0 && keys[card] != before || !strings.HasPrefix(d.inState(card), "issuing ") {
							t.Errorf("card %s is %s, its key was %q, and is %q", card, d.inState(card), before, keys[card])
						}
					}
				}

				d.vars = append(vars, "OFFICE="+by.secret)
				d.provision(0, readers)
				made := d.certified(t, keys, kind.key)
				events, issued := d.events(), by.issued()
				unchanged := func() {
					t.Helper()
					d.provision(0, readers)
					if all := d.changes(); len(all) > 0 || d.events() != events || by.issued() != issued {
						t.Errorf("sent %q, recorded %d, issued %d", all, d.events()-events, by.issued()-issued)
					}
				}
				if unchanged(); issued != len(keys) {
					t.Errorf("%d issued", issued)
				}

				renew := d.run(t.Context(), d.words("provision $W/plan.yaml --renew --expiring 4000d --dry-run -o json "+readers))
				if ofRow := strings.Contains(by.fields, "{{") || strings.Contains(by.fields, "_ROW_"); renew.exit != 0 && !ofRow || renew.exit != 2 && ofRow {
					t.Errorf("without a table: %+v", renew)
				}
				d.provision(0, "--renew --expiring 4000d "+readers)
				for card, renewed := range d.certified(t, keys, kind.key) {
					if renewed.SerialNumber == made[card].SerialNumber || renewed.Subject != made[card].Subject {
						t.Errorf("card %s: %+v is renewed to %+v", card, made[card], renewed)
					}
				}
				if by.issued() != 2*issued {
					t.Errorf("%d issued", by.issued())
				}
				events, issued = d.events(), by.issued()
				unchanged()
				if log := d.line("ledger export --ledger sqlite:$W/ledger.db --format jsonl").stdout; strings.Contains(log, "73645") {
					t.Error("the ledger has the secret of the issuer")
				}
			})
		}
	}
}

// certified are the credentials of active cards, which have their keys still, and lost no
// try of a PIN.
func (d *rowsDesk) certified(t *testing.T, keys map[string]string, ref string) map[string]ledger.Credential {
	t.Helper()
	all := map[string]ledger.Credential{}
	for card, key := range keys {
		if now := d.keyOf(card, ref); now != key {
			t.Errorf("card %s: the key was %s, and is %s", card, key, now)
		}
		c := d.inLedger(d.serial(card))
		if c.State != ledger.Active || len(c.Credentials) != 1 || c.Credentials[0].Subject != "CN="+c.Person.Name {
			t.Errorf("card %s: %+v", card, c)
			continue
		}
		d.writeFile("stored.pem", []byte(d.line("export-cert -r sim:"+card+" -k "+ref).stdout))
		if block, _ := pem.Decode(d.fileOf("stored.pem")); string(block.Bytes) != string(c.Credentials[0].Certificate) {
			t.Errorf("card %s has another certificate than the ledger says", card)
		}
		all[card] = c.Credentials[0]
	}
	return all
}

// TestIssuersPIN has the plan give a wrong one for the card of an officer, or of a CA: it is
// sent once, whatever the number of cards, and the same command goes on with the right one.
func TestIssuersPIN(t *testing.T) {
	for name, serve := range map[string]func(d *rowsDesk) office{
		"officer": offices["EJBCA"],
		"CA": func(d *rowsDesk) office {
			d.vars = append(d.vars, "OFFICER_PIN="+userPIN)
			d.line("sim create officer")
			d.line("init -r sim:officer --yes")
			d.line("gen-key -r sim:officer -k OPENPGP.3")
			d.line("ca init $W/ca2 -r sim:officer --key OPENPGP.3 --subject CN=CA")
			return office{fields: `url: "ca:$W/ca2?profile=client", reader: "sim:officer", pin: "env:OFFICER_PIN"`}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRowsDesk(t, anyOpenPGP)
			by := serve(d)
			d.plan(strings.Replace(anyOpenPGP, "issuer: desk", "issuer: office", 1) + "\nissuers: {office: {" + by.fields + "}}")
			keys := map[string]string{"a": "", "b": "", "c": ""}
			for card := range keys {
				d.line("sim create " + card)
			}
			d.rows("floppy@example.com,Floppy Head", "hard@example.com,Hard Disk", "tape@example.com,Tape Drive")
			const readers = "--readers sim:a,sim:b,sim:c"
			d.vars = append(d.vars, "OFFICE="+by.secret)
			right := d.vars
			d.vars = append(slices.Clone(right), "OFFICER_PIN=00000000")
			d.provision(4, readers)
			officer := *d.testDesk
			officer.vars = append(slices.Clone(right), "CARDCTL_READER=sim:officer")
			if left := officer.tries(); left["user"] != 2 {
				t.Errorf("tries left: %v", left)
			}
			for card := range keys {
				keys[card] = d.keyOf(card, "OPENPGP.3")
			}
			d.vars = right
			d.provision(0, readers)
			d.certified(t, keys, "OPENPGP.3")
		})
	}
}

// TestRenewedWithoutTable has a CA give a certificate with the names of an account, and
// renew it without the table that has them: the names are those of the certificate.
func TestRenewedWithoutTable(t *testing.T) {
	plan := strings.Replace(anyPIV, `subject: "CN={{.name}}"`, `subject: "CN={{.name}}", upn: ["{{.mail}}@example.com"], sid: "{{.sid}}"`, 1) +
		"\nissuers: {desk: {url: \"ca:$W/ca?profile=smartcard-logon\", secret: \"env:CA_PASSWORD\"}}"
	d := newRowsDesk(t, plan)
	d.writeFile("rows.csv", []byte("mail,name,sid\nfloppy,Floppy Head,S-1-5-21-1-2-3-500\n"))
	d.line("sim create a --applications piv --profile piv-yubikey-5.7")
	d.provision(0, "-r sim:a")
	keys := map[string]string{"a": d.keyOf("a", "PIV.9A")}
	made := d.certified(t, keys, "PIV.9A")["a"]
	d.line("provision $W/plan.yaml --renew --expiring 4000d --identity $W/desk.key -r sim:a")
	renewed := d.certified(t, keys, "PIV.9A")["a"]
	if renewed.SerialNumber == made.SerialNumber {
		t.Error("not renewed")
	}
	for _, id := range []string{"2.5.29.17", cert.OIDSecurityID.String()} {
		if before, after := extension(t, made.Certificate, id), extension(t, renewed.Certificate, id); before == "" || after != before {
			t.Errorf("%s was %q, and is %q", id, before, after)
		}
	}
}

// extension is the value of an extension of a certificate.
func extension(t *testing.T, der []byte, id string) string {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range c.Extensions {
		if x.Id.String() == id {
			return string(x.Value)
		}
	}
	return ""
}
