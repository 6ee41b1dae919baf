// Package cardsim simulates smart cards: the card itself (power, reset, class
// byte, command chaining, extended length, GET RESPONSE, selection among its
// applications), the applications on it, written from their specifications
// alone, their state on disk, faults that tests ask for, and the connection to
// a virtual reader of the PC/SC daemon. It stands in for real cards only, so it
// imports no package that uses a card: shared code would share its mistakes.
// Which cards exist, and who may delete them, is left to package simulate.
package cardsim
