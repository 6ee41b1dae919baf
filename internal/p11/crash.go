package p11

import "context"

// LastWords is what is to be said on standard error when a module takes the
// whole process down, and the exit status with it.
type LastWords func(module string) (text []byte, status int)

type lastWordsKey struct{}

// WithLastWords makes modules that are loaded with the context speak for
// themselves when they crash: what they are loaded into cannot go on, but it can
// say what happened, and leaves no core in which secrets are. It is known on
// Linux; elsewhere a module that crashes ends the program as it ends any other.
func WithLastWords(ctx context.Context, words LastWords) context.Context {
	return context.WithValue(ctx, lastWordsKey{}, words)
}

// expectCrash prepares the last words for a module before it is loaded.
func expectCrash(ctx context.Context, module string) {
	if words, ok := ctx.Value(lastWordsKey{}).(LastWords); ok {
		text, status := words(module)
		prepareLastWords(text, status)
	}
}
