package iso7816

import (
	"context"
	"fmt"
	"io"
)

// Tracer writes every APDU that passes: a line "> HEX" for each command, a
// line "< HEX" for each answer, status word last. Of a command or an answer
// that is not known to be public only the header and the status word are shown,
// with asterisks for the rest, so that not even its length can be read.
type Tracer struct {
	card   Transmitter
	w      io.Writer
	secret bool // the last command's answer is a secret
}

// NewTracer returns a Transmitter that passes everything on to card. What comes
// of writing to w is w's to keep: no work ends for a trace.
func NewTracer(card Transmitter, w io.Writer) *Tracer { return &Tracer{card: card, w: w} }

const blank = "********"

type confidential struct{}

// Confidential is a context for commands whose data fields and answers are secrets,
// although such commands are public otherwise.
func Confidential(ctx context.Context) context.Context {
	return context.WithValue(ctx, confidential{}, true)
}

// Transmit passes the APDU on.
func (t *Tracer) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	t.command(apdu, ctx.Value(confidential{}) != nil)
	answer, err := t.card.Transmit(ctx, apdu)
	if err == nil {
		t.answer(answer)
	}
	return answer, err
}

func (t *Tracer) command(apdu []byte, secret bool) {
	cmd, _, err := ParseCommand(apdu)
	if err != nil && len(apdu) < 4 {
		t.print("> %X\n", apdu)
		return
	}
	if cmd.INS != InsGetResponse {
		t.secret = secret || err != nil || !publicAnswer(cmd)
	}
	// What cannot be parsed may be a secret in a shape we do not know.
	if err != nil || len(cmd.Data) > 0 && (secret || !publicData(cmd)) {
		t.print("> %X%s\n", apdu[:4], blank)
		return
	}
	t.print("> %X\n", apdu)
}

func (t *Tracer) answer(answer []byte) {
	if t.secret && len(answer) > 2 {
		t.print("< %s%X\n", blank, answer[len(answer)-2:])
		return
	}
	t.print("< %X\n", answer)
}

func (t *Tracer) print(format string, args ...any) {
	_, _ = fmt.Fprintf(t.w, format, args...)
}
