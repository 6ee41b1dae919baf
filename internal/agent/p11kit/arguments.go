package p11kit

// arguments are those of a call, each kind in its order.
type arguments struct {
	numbers   []uint64    // u, y
	arrays    [][]byte    // ay
	room      uint32      // fy, fu: how much the client has room for
	mechanism mechanism   // M
	template  []attribute // aA
	wanted    []wanted    // fA
}

// wanted is an attribute that the client asks for, and how many bytes it has room for; 0 if
// it asks for the length.
type wanted struct {
	kind uint32
	room uint32
}

// read reads arguments by a signature of rpc-message.h, to the end of the request.
func (r *reader) arguments(signature string) (a arguments, code rv) {
	for i := 0; i < len(signature); i++ {
		switch signature[i] {
		case 'u':
			a.numbers = append(a.numbers, r.ulong())
		case 'y':
			a.numbers = append(a.numbers, uint64(r.byte()))
		case 'M':
			if a.mechanism = r.mechanism(); a.mechanism.unknown {
				return a, ckrMechanismInvalid // the length of its parameters is not known
			}
		case 'a':
			i++
			if signature[i] == 'A' {
				a.template = r.attributeArray(0)
			} else {
				a.arrays = append(a.arrays, r.array())
			}
		case 'f':
			i++
			if signature[i] == 'A' {
				a.wanted = r.attributeBuffer(0)
			} else {
				a.room = r.room()
			}
		}
	}
	if r.failed || len(r.data) > 0 {
		return arguments{}, ckrDeviceError
	}
	return a, ckrOK
}

// room is how much the client has room for, 0 if it asks for the length. Clients from 0.25 on
// tell a buffer of no bytes from none: both have no room.
func (r *reader) room() uint32 {
	if n := r.uint32(); n != null {
		return n
	}
	return 0
}
