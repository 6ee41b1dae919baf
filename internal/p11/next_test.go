package p11

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func TestWhatToDoAfterAPIN(t *testing.T) {
	m, token := &Module{path: "/m.so"}, Token{Label: "desk"}
	unblock := advice.Do(advice.UnblockPIN, advice.Set(advice.Module, "/m.so"), advice.Set(advice.Token, "desk"),
		advice.Ask(secret.SOPIN), advice.Ask(secret.NewPIN)).On("user")
	for name, test := range map[string]struct {
		err  PINError
		want advice.Advice
	}{
		"wrong":             {PINError{Role: User, Answer: PINRefused}, advice.Repeat(advice.Ask(secret.PIN))},
		"wrong SO PIN":      {PINError{Role: SecurityOfficer, Answer: PINRefused}, advice.Repeat(advice.Ask(secret.SOPIN))},
		"one try left":      {PINError{Role: User, Answer: PINRefused, FinalTry: true}, advice.Repeat(advice.Ask(secret.PIN), advice.Switch(advice.LastTry))},
		"blocked":           {PINError{Role: User, Answer: PINLocked}, unblock},
		"blocked SO PIN":    {PINError{Role: SecurityOfficer, Answer: PINLocked}, m.Rescue(token, SecurityOfficer)},
		"of another length": {PINError{Role: User, Answer: PINUnfit}, advice.Advice{}},
	} {
		test.err.err = errors.New("the answer")
		var p *problem.Error
		if !errors.As(test.err.explained(m, token, nil), &p) || !reflect.DeepEqual(p.Next, test.want) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if next := m.ReadAgain(); next.Action != advice.ListTokens {
		t.Errorf("a module that keeps no copies: %+v", next)
	}
	m.about.manufacturer = "OpenSC Project"
	if next := m.ReadAgain(); !reflect.DeepEqual(next, advice.Run("pkcs15-tool", "--clear-cache")) {
		t.Errorf("OpenSC: %+v", next)
	}
	m.about.manufacturer = tpm2
	if next := m.Rescue(token, User); !reflect.DeepEqual(next, advice.Run("tpm2_dictionarylockout", "--clear-lockout")) {
		t.Errorf("a TPM: %+v", next)
	}
	m.about.manufacturer = ""
	if next := m.Rescue(Token{}, User); len(next.Values) != 3 {
		t.Errorf("a token without a label is named: %+v", next)
	}
}
