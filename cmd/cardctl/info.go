package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/output"
)

func newInfoCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show what is on a card",
		Long: `Show everything that can be read of a card without a PIN: applications, keys,
certificates and whether they match their keys, and the tries left of each PIN.`,
		Example: "  cardctl info\n  cardctl info --reader sim:desk -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInfo(cmd.Context(), env) },
	}
}

type cardInfo struct {
	Reader         string                `json:"reader"`
	Card           inventory.Card        `json:"card"`
	Cardholder     *inventory.Cardholder `json:"cardholder,omitempty"`
	Keys           []inventory.Key       `json:"keys"`
	Certificates   []storedCertificate   `json:"certificates"`
	PINs           []inventory.PIN       `json:"pins"`
	SignatureCount int                   `json:"signatureCount"`
}

type storedCertificate struct {
	Ref string `json:"ref"`
	certstore.Certificate
}

func runInfo(ctx context.Context, env *Env) error {
	var info cardInfo
	err := env.withCard(ctx, func(ctx context.Context, c *card) error {
		found, err := inventory.Inspect(ctx, c.Channel)
		info = cardInfo{
			Reader: c.Reader, Card: found.Card, Cardholder: found.Cardholder, Keys: found.Keys,
			Certificates: []storedCertificate{}, PINs: found.PINs, SignatureCount: found.SignatureCount,
		}
		for _, stored := range found.Certificates {
			info.Certificates = append(info.Certificates, storedCertificate{stored.Ref, certstore.Describe(stored.Value, stored.Public)})
		}
		return err
	})
	if err != nil {
		return err
	}
	return env.result("CardInfo", info, func(s *output.Sheet) { info.text(s, env.Now()) })
}

func (i *cardInfo) text(s *output.Sheet, now time.Time) {
	s.Heading(describeCard(&i.Card) + " in " + i.Reader)
	for _, a := range i.Card.Applications {
		s.Field(strings.TrimSpace(a.Name+" "+a.Version), a.AID)
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
}

func keyText(s *output.Sheet, k *inventory.Key) {
	s.Heading("Key " + k.Ref)
	s.Field("algorithm", k.Algorithm)
	s.Field("fingerprint", k.Fingerprint)
	s.Field("keygrip", k.Keygrip)
	if k.Created != nil {
		s.Field("created", output.Time(*k.Created))
	}
	if k.Touch {
		s.Field("touch", "has to be confirmed by a touch of the card")
	}
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
		rows = append(rows, []string{p.Name, strconv.Itoa(p.TriesLeft), fmt.Sprintf("%d to %d", p.MinLength, p.MaxLength), state})
	}
	return rows
}
