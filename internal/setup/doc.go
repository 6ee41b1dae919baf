// Package setup makes programs use the keys of a card or token: it writes what they
// need into their configuration, checks that they use the key, and takes back what it
// wrote.
//
// A target is a program: one file, which says what it needs, which entries it gets and
// how it is checked. An entry is one thing that is written: an edit of a file, or
// something in the database of a program. What was written is remembered in a Record,
// so that it can be taken back without the card.
package setup
