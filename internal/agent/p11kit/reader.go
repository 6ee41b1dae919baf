package p11kit

import "encoding/binary"

// Limits of what a request may hold.
const (
	maxAttributes = 512 // all of a request, nested ones too
	maxDepth      = 8   // of attributes in attributes
)

// null is the length that stands for NULL.
const null = 1<<32 - 1

// reader reads the arguments of a request. After a failure all that it reads is zero.
type reader struct {
	data       []byte
	failed     bool
	attributes int // read so far
}

func (r *reader) take(n uint32) []byte {
	if r.failed || uint64(n) > uint64(len(r.data)) {
		r.failed = true
		return nil
	}
	taken := r.data[:n:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) ulong() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes is a byte array without a mark of validity; nil for NULL.
func (r *reader) bytes() []byte {
	n := r.uint32()
	if n == null {
		return nil
	}
	return r.take(n)
}

// array is a byte array that may be missing ("ay"); only its length is there then.
func (r *reader) array() []byte {
	if r.byte() == 0 {
		r.uint32()
		return nil
	}
	return r.bytes()
}

// count is the number of attributes that follow.
func (r *reader) count() int {
	n := r.uint32()
	if r.failed || n > maxAttributes || r.attributes+int(n) > maxAttributes {
		r.failed = true
		return 0
	}
	r.attributes += int(n)
	return int(n)
}
