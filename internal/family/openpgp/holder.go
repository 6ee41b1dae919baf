package openpgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// sexes are the codes of ISO/IEC 5218, in the words of the command line.
var sexes = map[string]string{"unknown": "0", "male": "1", "female": "2", "unspecified": "9", "": "9"}

// describedHolder is what the card says of its owner, in words. A sex that is not announced is
// nothing.
func describedHolder(told map[app.HolderField][]byte) card.Holder {
	holder := card.Holder{
		Name: app.DecodeName(told[app.HolderName]), Login: string(told[app.HolderLogin]), URL: string(told[app.HolderURL]),
		Language: languageList(told[app.HolderLanguage]),
	}
	for word, code := range sexes {
		if code == string(told[app.HolderSex]) && code != sexes[""] {
			holder.Sex = word
		}
	}
	return holder
}

// holderWrite is one data object that is written.
type holderWrite struct {
	field app.HolderField
	name  string
	value []byte
}

// SetHolder writes the fields one by one, and reads them back.
func (c *onCard) SetHolder(ctx context.Context, wish card.HolderWish) (card.Holder, error) {
	const what = "set-holder"
	_, data, err := c.data(ctx)
	if err != nil {
		return card.Holder{}, explain(err, what, "")
	}
	writes, err := holderWrites(wish, &data.Extended)
	if err == nil {
		err = c.unlock(ctx, app.PW3)
	}
	if err != nil {
		return card.Holder{}, explain(err, what, stateUntouched)
	}
	for i, w := range writes {
		if err := c.putHolder(ctx, w); err != nil {
			return card.Holder{}, explain(err, what+": writing the "+w.name, holderState(writes[:i], w, err))
		}
	}
	told, err := c.readHolder(ctx, writes)
	if err != nil {
		return card.Holder{}, explain(err, what+": reading back", "The card confirmed the data.")
	}
	for _, w := range writes {
		if !bytes.Equal(told[w.field], w.value) {
			return card.Holder{}, problem.New(problem.Failed, "%s: the card did not store the %s", what, w.name).
				Because("The card confirmed it, but reports another one.").Advise(advice.Do(advice.ShowCard))
		}
	}
	return describedHolder(told), nil
}

// putHolder writes one field. What is on the card then counts, where the answer does not
// tell.
func (c *onCard) putHolder(ctx context.Context, w holderWrite) error {
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	put := selected.PutCardholder(ctx, w.field, w.value)
	if !unexpected(put) {
		return put
	}
	if told, err := c.readHolder(ctx, []holderWrite{w}); err != nil || !bytes.Equal(told[w.field], w.value) {
		return put
	}
	return nil
}

func (c *onCard) readHolder(ctx context.Context, writes []holderWrite) (map[app.HolderField][]byte, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	var fields []app.HolderField
	for _, w := range writes {
		fields = append(fields, w.field)
	}
	return selected.ReadCardholder(ctx, fields...)
}

// holderState says what was written before one field failed.
func holderState(done []holderWrite, failed holderWrite, err error) string {
	var names []string
	for _, w := range done {
		names = append(names, w.name)
	}
	state := stateUntouched
	if len(names) > 0 {
		state = "Written: " + strings.Join(names, ", ") + "."
	}
	if iso7816.Refused(err) {
		return state
	}
	unknown := "It is not known whether the " + failed.name + " was written." + toFinish
	if len(names) == 0 {
		return unknown
	}
	return state + " " + unknown
}

// holderWrites are the data objects of a wish, in the order of their names on the
// command line. It refuses what the card has no room for, and what other programs could
// not read.
func holderWrites(wish card.HolderWish, can *app.ExtendedCapabilities) (writes []holderWrite, err error) {
	for _, f := range []struct {
		field  app.HolderField
		name   string
		flag   advice.Field
		wish   *string
		most   int
		encode func(string) ([]byte, error)
	}{
		{app.HolderName, "name", advice.Name, wish.Name, app.MaxHolderName, app.EncodeName},
		{app.HolderLogin, "login", "login", wish.Login, can.MaxObject, asItStands},
		{app.HolderURL, "URL", "url", wish.URL, can.MaxObject, anURL},
		{app.HolderLanguage, "language", "language", wish.Language, app.MaxHolderLanguage, languages},
		{app.HolderSex, "sex", "sex", wish.Sex, 1, sex},
	} {
		if f.wish == nil {
			continue
		}
		value, err := f.encode(*f.wish)
		if !utf8.ValidString(*f.wish) || strings.ContainsFunc(*f.wish, unicode.IsControl) {
			err = errors.New("the value holds a character that cannot be printed")
		}
		if err == nil && f.most > 0 && len(value) > f.most {
			err = fmt.Errorf("the card has room for %d bytes, and this needs %d", f.most, len(value))
		}
		if err != nil {
			return nil, problem.New(problem.Usage, "the card cannot store this %s", f.name).
				Because("%s", problem.Sentence(err.Error())).Advise(advice.Repeat(advice.Fill(f.flag)))
		}
		writes = append(writes, holderWrite{f.field, f.name, value})
	}
	return writes, nil
}

func asItStands(text string) ([]byte, error) { return []byte(text), nil }

func anURL(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	address, err := url.Parse(text)
	foreign := func(r rune) bool { return r <= ' ' || r > '~' }
	if err != nil || address.Scheme == "" || strings.ContainsFunc(text, foreign) {
		return nil, errors.New("a URL looks like https://example.com/me.asc, with ASCII characters only")
	}
	return []byte(text), nil
}

// languages are up to four codes of two letters (ISO 639-1), the preferred one first:
// "de,en", "de, en" or "deen".
func languages(text string) ([]byte, error) {
	const letters = 2
	codes := strings.Split(strings.ToLower(text), ",")
	if len(codes) == 1 && len(text)%letters == 0 {
		return aToZ(codes[0])
	}
	var value []byte
	for _, code := range codes {
		code, err := aToZ(strings.TrimSpace(code))
		if err != nil || len(code) != letters {
			return nil, errLanguage
		}
		value = append(value, code...)
	}
	return value, nil
}

var errLanguage = errors.New("a language is a code of two letters; of several, use de,en")

func aToZ(code string) ([]byte, error) {
	if strings.Trim(code, "abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, errLanguage
	}
	return []byte(code), nil
}

// languageList separates codes of two letters.
func languageList(value []byte) string {
	var codes []string
	for code := range slices.Chunk(value, 2) {
		codes = append(codes, string(code))
	}
	return strings.Join(codes, ",")
}

func sex(word string) ([]byte, error) {
	code, known := sexes[strings.ToLower(word)]
	if !known {
		return nil, fmt.Errorf("valid words: %s", strings.Join(sexWords(), ", "))
	}
	return []byte(code), nil
}

func sexWords() (words []string) {
	for word := range sexes {
		if word != "" {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}
