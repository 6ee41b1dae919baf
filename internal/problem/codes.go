package problem

// Meaning is a Code and when it occurs, as the manual tells it.
type Meaning struct {
	Code Code
	When string
}

// Codes lists every Code, in the order of the exit codes of the command line's
// contract.
func Codes() []Meaning {
	return []Meaning{
		{Failed, "anything not below, a `--timeout` among it"},
		{Usage, "wrong flags; a secret is missing and nobody can be asked, or cannot have been meant; a PIN too short or too long to be sent"},
		{NotFound, "no reader, card, token, key, certificate or file there; or several where one was meant"},
		{PINIncorrect, "a wrong PIN, with the tries left"},
		{KeysIncorrect, "wrong card keys"},
		{PINBlocked, "blocked, or the last try, which is refused without `--allow-last-try`; card keys that failed on this card before, without `--retry-keys`"},
		{TriesUnknown, "nothing tells the tries left of a PIN, which is refused without `--allow-unknown-tries`"},
		{CardBusy, "another program holds the card; it is named, with what to do"},
		{NotSupported, "this card or module cannot do that"},
		{Mismatch, "certificate and key differ, a signature or chain does not verify, a file is not what it claims to be"},
		{Refused, "would destroy or overwrite something, and nobody confirmed"},
		{CardRemoved, "the card or its reader went away; the error says what is on the card now"},
		{CardChanged, "another card is in the place of the one that was named"},
		{Interrupted, "Ctrl-C or SIGTERM; the card is left as `cardctl info` then shows it"},
	}
}
