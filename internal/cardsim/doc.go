// Package cardsim is simulated smart cards: the card itself (power, reset,
// class byte, command chaining, extended length, GET RESPONSE, selection among
// its applications), the applications on it, written from their specifications
// alone, their state on disk, faults that tests ask for, and the line to the
// virtual reader of the PC/SC daemon. It stands in for silicon only, so it
// imports no package that talks to a card: shared code would share its bugs.
package cardsim
