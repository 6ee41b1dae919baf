package cardinit

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// room is a card that wants secrets, and the person before it.
type room struct {
	needs    []card.Need
	typed    map[secret.Name]string // what is not here, nobody gives
	question string
	surveyed error // why it cannot be initialised
	refused  error // the question
	failed   error // the deed

	did    []string
	handed []*secret.Bytes // to the deed
	values []*secret.Bytes // everything that was typed
}

func (r *room) Survey(context.Context, card.InitOptions) (*card.Survey, error) {
	r.did = append(r.did, "survey")
	report := card.InitReport{Serial: "before"}
	return &card.Survey{Question: advice.Question{Deed: "Erase", Subject: "100% of it"}, Needs: r.needs, Report: report}, r.surveyed
}

func (r *room) Initialise(_ context.Context, _ *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	r.did = append(r.did, "deed")
	for _, value := range given {
		r.handed = append(r.handed, value)
		if value != nil && value.Len() == 0 {
			r.did = append(r.did, "wiped too early")
		}
	}
	return card.InitReport{Serial: "after"}, r.failed
}

func (r *room) at() family.At {
	ask := func(_ context.Context, request secret.Request) (*secret.Bytes, error) {
		r.did = append(r.did, string(request.Name))
		typed, given := r.typed[request.Name]
		if !given && request.Optional {
			return nil, nil
		}
		if !given {
			return nil, secret.ErrMissing
		}
		value := secret.New([]byte(typed))
		r.values = append(r.values, value)
		return value, nil
	}
	confirm := func(_ context.Context, q desk.Question) error {
		r.did = append(r.did, "question")
		r.question = q.Asked().String()
		return r.refused
	}
	return family.At{Line: &desk.Line{}, Access: desk.Access{Confirm: confirm}, Keys: key.Access{Policy: pin.New(ask, pin.Allow{})}}
}

func need(name secret.Name) card.Need {
	return card.Need{Request: secret.Request{Name: name}, PIN: pin.PIN{Min: 6, Max: 8}}
}

func TestQuestionSecretsDeed(t *testing.T) {
	odd := problem.New(problem.Refused, "odd")
	user, admin := need(secret.PIN), need(secret.AdminPIN)
	optional := need(secret.AdminPIN)
	optional.OptionalIf = func(given map[secret.Name]*secret.Bytes) bool { return given[secret.PIN] != nil }
	unless := func(err error) card.Need {
		n := need(secret.SOPIN)
		n.Unless = func(context.Context) error { return err }
		return n
	}
	never := need(secret.PUK)
	never.Refused = odd
	never.Request.Optional = true
	both := map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678"}
	for name, test := range map[string]struct {
		room room
		did  []string
		err  error
		code problem.Code
	}{
		"all goes well":    {room{needs: []card.Need{user, admin}, typed: both}, []string{"survey", "question", "pin", "admin-pin", "deed"}, nil, ""},
		"no secret needed": {room{}, []string{"survey", "question", "deed"}, nil, ""},
		"it cannot be":     {room{needs: []card.Need{user}, typed: both, surveyed: odd}, []string{"survey"}, odd, ""},
		"not confirmed":    {room{needs: []card.Need{user}, typed: both, refused: odd}, []string{"survey", "question"}, odd, ""},
		"the second is missing": {room{needs: []card.Need{user, admin, user}, typed: map[secret.Name]string{secret.PIN: "123456"}},
			[]string{"survey", "question", "pin", "admin-pin"}, secret.ErrMissing, ""},
		"the second is too long": {room{needs: []card.Need{user, admin, user}, typed: map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "123456789"}},
			[]string{"survey", "question", "pin", "admin-pin"}, nil, problem.Usage},
		"optional by what was given": {room{needs: []card.Need{user, optional}, typed: map[secret.Name]string{secret.PIN: "123456"}},
			[]string{"survey", "question", "pin", "admin-pin", "deed"}, nil, ""},
		"nobody gives it, and it may be so":     {room{needs: []card.Need{unless(nil)}}, []string{"survey", "question", "so-pin", "deed"}, nil, ""},
		"nobody gives it, and it may not be so": {room{needs: []card.Need{unless(odd)}}, []string{"survey", "question", "so-pin"}, odd, ""},
		"one that cannot be given": {room{needs: []card.Need{never}, typed: map[secret.Name]string{secret.PUK: "123456"}},
			[]string{"survey", "question", "puk"}, odd, ""},
		"one that cannot be given, and is not": {room{needs: []card.Need{never}}, []string{"survey", "question", "puk", "deed"}, nil, ""},
		"the deed fails":                       {room{needs: []card.Need{user}, typed: both, failed: odd}, []string{"survey", "question", "pin", "deed"}, odd, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &test.room
			report, err := surveyed(t.Context(), r.at(), r, Options{})
			if !slices.Equal(r.did, test.did) {
				t.Errorf("did %q, want %q", r.did, test.did)
			}
			if test.code == "" && !errors.Is(err, test.err) || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("got %v", err)
			}
			if slices.Contains(r.did, "question") && r.question != "Erase 100% of it?" {
				t.Errorf("asked %q", r.question)
			}
			if done := slices.Contains(r.did, "deed"); r.surveyed == nil && (report.Serial == "after") != done {
				t.Errorf("reported %+v", report)
			}
			for _, value := range slices.Concat(r.values, r.handed) {
				if value.Len() > 0 {
					t.Error("a secret was not wiped")
				}
			}
		})
	}
}

// surveyed is a survey and what comes of it.
func surveyed(ctx context.Context, here family.At, able card.Initialiser, o Options) (report card.InitReport, err error) {
	survey, err := SurveyOn(ctx, able, o)
	if err != nil {
		return report, err
	}
	return InitialiseOn(ctx, here, able, survey)
}

// What a card does not have is refused before it is looked at, and left out the next time.
func TestWhatACardDoesNotHave(t *testing.T) {
	derived := true
	for field, o := range map[advice.Field]Options{
		advice.PINTries: {PINTries: 5}, advice.PUKTries: {PUKTries: 5}, advice.KDF: {Derived: &derived},
		advice.GenerateManagementKey: {Management: card.NewManagementKey{File: "key"}},
	} {
		r := &room{}
		_, err := surveyed(t.Context(), r.at(), r, o)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotSupported || !reflect.DeepEqual(p.Next, advice.Repeat().Without(field)) || len(r.did) > 0 {
			t.Errorf("%s: %v, did %q", field, err, r.did)
		}
	}
}

func TestWhatUnblocks(t *testing.T) {
	ways := []secret.Name{secret.AdminPIN, secret.ResetCode}
	for name, test := range map[string]struct {
		given, environment []secret.Name
		want               secret.Name
	}{
		"nothing is said":                   {nil, nil, secret.AdminPIN},
		"only the new one is given":         {[]secret.Name{secret.NewPIN}, nil, secret.AdminPIN},
		"one is given":                      {[]secret.Name{secret.NewPIN, secret.ResetCode}, nil, secret.ResetCode},
		"one of another family is given":    {[]secret.Name{secret.PUK}, nil, secret.PUK}, // the card says that it has none
		"one is in the environment":         {nil, []secret.Name{secret.PIN, secret.ResetCode}, secret.ResetCode},
		"both are in the environment":       {nil, []secret.Name{secret.ResetCode, secret.AdminPIN}, secret.AdminPIN},
		"what is given goes before":         {[]secret.Name{secret.ResetCode}, []secret.Name{secret.AdminPIN}, secret.ResetCode},
		"one of another family is there":    {nil, []secret.Name{secret.PUK}, secret.AdminPIN},
		"the new one is in the environment": {nil, []secret.Name{secret.NewPIN}, secret.AdminPIN},
		"two are given":                     {[]secret.Name{secret.AdminPIN, secret.ResetCode}, nil, ""},
	} {
		got, err := by(ways, test.given, test.environment)
		if got != test.want || (test.want == "") != problem.Is(err, problem.Usage) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// What is no PIN is refused before a card is looked for, and not repeated.
func TestNoSuchPIN(t *testing.T) {
	for name, change := range map[string]func(which string) error{
		"set-pin": func(which string) error {
			_, err := SetPIN(t.Context(), &desk.Desk{}, desk.Access{}, which, nil)
			return err
		},
		"unblock-pin": func(which string) error {
			_, err := UnblockPIN(t.Context(), &desk.Desk{}, desk.Access{}, which, nil, nil)
			return err
		},
	} {
		if err := change("canary-736451"); !problem.Is(err, problem.Usage) || strings.Contains(err.Error(), "736451") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
