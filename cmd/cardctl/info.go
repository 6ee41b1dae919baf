package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
)

type infoOptions struct {
	application applicationFlags
}

func newInfoCmd(env *Env) *cobra.Command {
	var o infoOptions
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what is on a card",
		Long: `Show everything that can be read of a card without a PIN: applications, keys,
certificates and whether they match their keys, and the tries left of each PIN.
Of a PKCS#11 token it is what the token shows before a login. The serialised ID
of a certificate is what OpenVPN's --pkcs11-id takes; that of a PKCS#15 card is
for OpenSC's module.`,
		Example: `  cardctl info
  cardctl info --reader sim:desk -o json
  cardctl info --module softhsm2 --token desk`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runInfo(cmd.Context(), env, &o) },
	}
	o.application.add(cmd.Flags())
	o.application.reads = true
	return cmd
}

type cardInfo struct {
	Reader         string                `json:"reader"`
	Card           inventory.Card        `json:"card"`
	Cardholder     *inventory.Cardholder `json:"cardholder,omitempty"`
	Keys           []inventory.Key       `json:"keys"`
	Certificates   []storedCertificate   `json:"certificates"`
	PINs           []inventory.PIN       `json:"pins"`
	SignatureCount int                   `json:"signatureCount"`
	// CardKeys is "factory" for a Java card with the keys that it came with,
	// "test" for one that was opened here with the well-known test keys.
	CardKeys applet.KnownKeys `json:"cardKeys,omitempty"`
	// JavaCard is what a Java card tells of its security domain.
	JavaCard *applet.DomainInfo `json:"javaCard,omitempty"`
}

type storedCertificate struct {
	Ref string `json:"ref"`
	certstore.Certificate
	SerializedID string `json:"serializedId,omitempty"`
}

func runInfo(ctx context.Context, env *Env, o *infoOptions) error {
	found, place, domain, err := env.inspect(ctx, &o.application)
	if err != nil {
		return err
	}
	info := cardInfo{
		Reader: place, Card: found.Card, Cardholder: found.Cardholder, Keys: found.Keys,
		Certificates: []storedCertificate{}, PINs: found.PINs, SignatureCount: found.SignatureCount, JavaCard: domain,
	}
	if domain != nil {
		info.CardKeys = domain.KnownKeys
	}
	for _, stored := range found.Certificates {
		described := certstore.Describe(stored.Value, stored.Public)
		info.Certificates = append(info.Certificates, storedCertificate{stored.Ref, described, stored.SerializedID})
	}
	return env.result("CardInfo", info, func(s *output.Sheet) { info.text(s, env.Now()) })
}

// inspect reads what is on the card or token that is meant, and tells where that
// is, and what a Java card tells of its security domain.
func (env *Env) inspect(ctx context.Context, meant *applicationFlags) (found inventory.Info, place string, domain *applet.DomainInfo, err error) {
	found = inventory.Info{Keys: []inventory.Key{}, PINs: []inventory.PIN{}}
	if strings.EqualFold(meant.app, appPKCS15) {
		err := env.withCard(ctx, func(ctx context.Context, c *card) (err error) {
			found.Card, err = inventory.Identify(ctx, c.Channel)
			return err
		})
		if err != nil {
			return found, "", nil, err
		}
	}
	onPKCS15 := func(ctx context.Context, c *pkcs15.Card) error { return inventory.InspectPKCS15(ctx, c, &found) }
	_, place, err = meant.run(ctx, env, works{
		onCard: func(ctx context.Context, c *card) (err error) {
			if found, err = inventory.Inspect(ctx, c.Channel); err == nil {
				domain, err = env.domainOf(ctx, c, found.Card)
			}
			return err
		},
		onPKCS15: onPKCS15,
		onToken: func(ctx context.Context, m *p11.Module, uri p11.URI) (err error) {
			found, err = inventory.InspectToken(ctx, m, uri)
			return err
		},
	})
	if err == nil && meant.app == "" && found.Card.Has(appPKCS15) {
		err = env.withPKCS15(ctx, func(ctx context.Context, c *pkcs15.Card, _ string) error { return onPKCS15(ctx, c) })
	}
	return found, place, domain, err
}

// domainOf is what a Java card tells of its security domain; no key is tried.
func (env *Env) domainOf(ctx context.Context, c *card, found inventory.Card) (*applet.DomainInfo, error) {
	if !found.Has("gp") {
		return nil, nil
	}
	dir, err := env.stateDir()
	if err != nil {
		return nil, err
	}
	return applet.DescribeDomain(ctx, applet.Access{Channel: c.Channel, StateDir: dir})
}

func (i *cardInfo) text(s *output.Sheet, now time.Time) {
	s.Heading(describeCard(&i.Card) + " in " + i.Reader)
	for _, a := range i.Card.Applications {
		s.Field(strings.TrimSpace(a.Name+" "+a.Version), a.AID)
	}
	switch i.CardKeys {
	case applet.KeysOfFactory:
		s.Field("card keys", "those that it came with, which others may know: cardctl applet set-keys changes them")
	case applet.KeysOfTests:
		s.Field("card keys", "the test keys, which everybody knows: cardctl applet set-keys changes them")
	}
	if h := i.Cardholder; h != nil {
		s.Field("cardholder", h.Name)
		s.Field("login", h.Login)
		s.Field("URL", h.URL)
	}
	for n := range i.Keys {
		s.Gap()
		keyText(s, &i.Keys[n])
	}
	for n := range i.Certificates {
		s.Gap()
		s.Heading("Certificate " + i.Certificates[n].Ref)
		certificateText(s, &i.Certificates[n].Certificate, now)
		if id := i.Certificates[n].SerializedID; id != "" {
			s.Field("for OpenVPN", id)
		}
	}
	if len(i.Keys)+len(i.Certificates) == 0 {
		s.Gap()
		s.Heading("No keys, no certificates")
	}
	if len(i.PINs) > 0 {
		s.Gap()
		s.Heading("PINs")
		s.Table(pinRows(i.PINs)...)
	}
	if i.JavaCard != nil {
		domainText(s, i.JavaCard)
	}
}

func keyText(s *output.Sheet, k *inventory.Key) {
	s.Heading("Key " + k.Ref)
	s.Field("algorithm", k.Algorithm)
	s.Field("fingerprint", k.Fingerprint)
	s.Field("keygrip", k.Keygrip)
	s.Field("label", k.Label)
	s.Field("usage", usageText(k.Usage))
	if k.Created != nil {
		s.Field("created", output.Time(*k.Created))
	}
	if k.Touch {
		s.Field("touch", "has to be confirmed by a touch of the card")
	}
}

func usageText(usage []key.Usage) string {
	words := make([]string, len(usage))
	for i, u := range usage {
		words[i] = string(u)
	}
	return strings.Join(words, ", ")
}

func certificateText(s *output.Sheet, c *certstore.Certificate, now time.Time) {
	if c.Unreadable != "" {
		s.Field("unreadable", c.Unreadable)
		return
	}
	s.Field("subject", c.Subject)
	s.Field("issuer", c.Issuer)
	s.Field("serial", c.SerialNumber)
	s.Field("valid", fmt.Sprintf("%s to %s%s", output.Time(c.NotBefore), output.Time(c.NotAfter), validity(c, now)))
	s.Field("SHA-256", c.SHA256)
	if c.MatchesKey {
		s.Field("for key", "yes")
	} else {
		s.Field("for key", "NO, it belongs to another key")
	}
}

func validity(c *certstore.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return ", EXPIRED"
	case now.Before(c.NotBefore):
		return ", NOT YET VALID"
	}
	return ""
}

func pinRows(pins []inventory.PIN) [][]string {
	rows := [][]string{{"NAME", "TRIES LEFT", "LENGTH", "STATE"}}
	for _, p := range pins {
		state := "ready"
		switch {
		case p.Blocked:
			state = "BLOCKED"
		case !p.Set:
			state = "not set"
		}
		tries := strconv.Itoa(p.TriesLeft)
		if p.TriesLeft == inventory.UnknownTries {
			tries = "not told"
		}
		rows = append(rows, []string{p.Name, tries, fmt.Sprintf("%d to %d", p.MinLength, p.MaxLength), state})
	}
	return rows
}
