package p11kit

import (
	"encoding/binary"
	"unicode/utf8"
)

// writer makes an answer.
type writer struct{ body []byte }

func (w *writer) byte(v byte)       { w.body = append(w.body, v) }
func (w *writer) uint32(v uint32)   { w.body = binary.BigEndian.AppendUint32(w.body, v) }
func (w *writer) ulong(v uint64)    { w.body = binary.BigEndian.AppendUint64(w.body, v) }
func (w *writer) version(v [2]byte) { w.body = append(w.body, v[0], v[1]) }

// bytes is a byte array without a mark of validity.
func (w *writer) bytes(v []byte) {
	w.uint32(uint32(len(v)))
	w.body = append(w.body, v...)
}

// array is a byte array ("ay").
func (w *writer) array(v []byte) {
	w.byte(1)
	w.bytes(v)
}

// length stands where an array would that the client has no room for: it asked for the
// length, or gets CKR_BUFFER_TOO_SMALL.
func (w *writer) length(n int) {
	w.byte(0)
	w.uint32(uint32(n))
}

// fitting is an array, or its length if there is no room for it.
func (w *writer) fitting(v []byte, room uint32) (fits bool) {
	if uint64(len(v)) > uint64(room) {
		w.length(len(v))
		return false
	}
	w.array(v)
	return true
}

// ulongs is an array of numbers ("au"), or its length if there is no room for it.
func (w *writer) ulongs(v []uint64, room uint32) {
	if uint64(len(v)) > uint64(room) {
		w.length(len(v))
		return
	}
	w.byte(1)
	w.uint32(uint32(len(v)))
	for _, n := range v {
		w.ulong(n)
	}
}

// padded is text of a fixed length, filled with spaces ("s"); what is longer is cut at the
// end of a character.
func (w *writer) padded(text string, length int) {
	for len(text) > length {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	w.uint32(uint32(length))
	w.body = append(w.body, text...)
	for range length - len(text) {
		w.body = append(w.body, ' ')
	}
}
