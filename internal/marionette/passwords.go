package marionette

import (
	"context"
	_ "embed" // the script
	"encoding/base64"
	"encoding/json"
	"slices"
)

// AnswerPassword types the password, which is UTF-8, into the next prompt for one whose
// text has the name of the token, and cancels the other prompts and those after it: a PIN
// is typed once, even if Firefox asks again. The context must be Chrome. The caller wipes
// the password.
func (s *Session) AnswerPassword(ctx context.Context, password []byte, token string) error {
	script, err := json.Marshal(answerPassword)
	if err != nil {
		return err
	}
	name, err := json.Marshal(token)
	if err != nil {
		return err
	}
	typed := make([]byte, base64.StdEncoding.EncodedLen(len(password)))
	defer clear(typed)
	base64.StdEncoding.Encode(typed, password)
	parameters := slices.Concat([]byte(`{"script":`), script, []byte(`,"args":["`), typed, []byte(`",`), name, []byte(`]}`))
	defer clear(parameters)
	return s.send(ctx, executeScript, parameters, nil)
}

// answerPassword is the body of a function.
//
//go:embed answer_password.js
var answerPassword string

// Prompts are the texts of the prompts for a password since AnswerPassword. The context
// must be Chrome.
func (s *Session) Prompts(ctx context.Context) (prompts []string, err error) {
	err = s.Execute(ctx, "return window.passwordPrompts", &prompts)
	return prompts, err
}
