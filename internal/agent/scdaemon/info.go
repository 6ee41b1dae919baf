package scdaemon

import (
	"context"
	"os"
	"strconv"
	"strings"
)

func (s *session) getInfo(ctx context.Context, a arguments) error {
	switch a.word(0) {
	case "version":
		s.out.data([]byte(s.options.Version))
	case "pid":
		s.out.data([]byte(strconv.Itoa(os.Getpid())))
	case "socket_name":
		if s.options.Socket == "" {
			return fail(errNoData, "")
		}
		s.out.data([]byte(s.options.Socket))
	case "status":
		flag := "u" // usable
		if _, err := s.selected(ctx); err != nil {
			flag = "r" // removed
		}
		s.out.data([]byte(flag))
	case "deny_admin":
	case "app_list":
		s.out.data([]byte(appOpenPGP + ":\n" + appOther + ":\n"))
	case "reader_list":
		return s.readers(ctx)
	case "card_list":
		return s.eachCard(ctx, func(c *card) { s.out.status("SERIALNO", c.serial) })
	case "active_apps":
		if s.current != nil {
			s.out.status("SERIALNO", s.current.serial, s.current.app)
		}
	case "all_active_apps":
		return s.eachCard(ctx, func(c *card) { s.out.status("SERIALNO", c.serial, c.app) })
	case "cmd_has_option":
		if c, ok := find(a.word(1)); !ok || !c.hasOption(a.word(2)) {
			return fail(errFalse, "")
		}
	default:
		return fail(errParameter, "unknown value for WHAT")
	}
	return nil
}

func (s *session) eachCard(ctx context.Context, do func(*card)) error {
	cards, err := s.cards(ctx)
	if err != nil {
		return err
	}
	for _, c := range cards {
		do(c)
	}
	return nil
}

func (s *session) readers(ctx context.Context) error {
	var names []string
	err := s.eachCard(ctx, func(c *card) {
		if c.about.Reader != "" {
			names = append(names, c.about.Reader+"\n")
		}
	})
	if err == nil && names == nil {
		err = fail(errNoData, "")
	}
	if err != nil {
		return err
	}
	s.out.data([]byte(strings.Join(names, "")))
	return nil
}

// listed are the letters for which KEYINFO --list lists keys.
var listed = map[string]string{"": "", "sign": "s", "encr": "e", "auth": "a"}

// keyInfo tells where keys are.
func (s *session) keyInfo(ctx context.Context, a arguments) error {
	if !a.has("list") {
		k, err := s.withGrip(ctx, a.word(0))
		if err != nil {
			return fail(errNotFound, "")
		}
		s.tellPlace(k, a.has("data"))
		return nil
	}
	letter, ok := listed[a.options["list"]]
	if !ok {
		return fail(errParameter, "unknown kind of keys")
	}
	keys, err := s.allKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if strings.Contains(k.usage, letter) {
			s.tellPlace(k, a.has("data"))
		}
	}
	return nil
}

func (s *session) tellPlace(k *key, data bool) {
	usage := k.usage
	if usage == "" {
		usage = "-"
	}
	values := []string{k.grip, "T", k.card.serial, k.ref, usage}
	if data {
		s.out.data([]byte(strings.Join(values, " ") + "\n"))
		return
	}
	s.out.status("KEYINFO", values...)
}
