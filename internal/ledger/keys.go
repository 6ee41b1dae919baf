package ledger

import "filippo.io/age"

// Keys open what is sealed to their recipients.
type Keys = []age.Identity
