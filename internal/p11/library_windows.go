package p11

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
	"golang.org/x/sys/windows"
)

// module is a loaded module: its functions by their number in CK_FUNCTION_LIST
// (2.40, 5.4).
type module struct{ functions [functionCount]uintptr }

const (
	fnInitialize        = 0
	fnFinalize          = 1
	fnGetInfo           = 2
	fnGetSlotList       = 4
	fnGetSlotInfo       = 5
	fnGetTokenInfo      = 6
	fnGetMechanismList  = 7
	fnGetMechanismInfo  = 8
	fnInitToken         = 9
	fnInitPIN           = 10
	fnSetPIN            = 11
	fnOpenSession       = 12
	fnCloseSession      = 13
	fnGetSessionInfo    = 15
	fnLogin             = 18
	fnLogout            = 19
	fnCreateObject      = 20
	fnDestroyObject     = 22
	fnGetAttributeValue = 24
	fnSetAttributeValue = 25
	fnFindObjectsInit   = 26
	fnFindObjects       = 27
	fnFindObjectsFinal  = 28
	fnDecryptInit       = 33
	fnDecrypt           = 34
	fnSignInit          = 42
	fnSign              = 43
	fnGenerateKeyPair   = 59
	fnDeriveKey         = 62
	functionCount       = 68
)

var errNoFunctions = errors.New("its C_GetFunctionList returns no functions")

// openLibrary maps the module into the process, with libraries that it needs from its
// own directory. It is never unmapped: a library with threads or exit handlers of its own
// crashes when it is.
func openLibrary(path string) (library, error) {
	// The working directory is no place for libraries.
	if err := windows.SetDllDirectory(""); err != nil {
		return nil, notLoaded(path, err)
	}
	flags := uintptr(0)
	if filepath.IsAbs(path) {
		flags = windows.LOAD_WITH_ALTERED_SEARCH_PATH
	}
	handle, err := windows.LoadLibraryEx(path, 0, flags)
	if err != nil {
		return nil, notLoaded(path, err)
	}
	entry, err := windows.GetProcAddress(handle, entryPoint)
	if err != nil {
		return nil, notAModule(path, errNoModule)
	}
	var list unsafe.Pointer
	if rv, _, _ := syscall.SyscallN(entry, uintptr(unsafe.Pointer(&list))); uint32(rv) != pkcs11.CKR_OK || list == nil {
		return nil, notAModule(path, errNoFunctions)
	}
	m := &module{}
	const version = 2 // bytes of the CK_VERSION before the functions
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&m.functions)), len(m.functions)*pointerSize),
		unsafe.Slice((*byte)(unsafe.Add(list, version)), len(m.functions)*pointerSize))
	return m, nil
}

func notLoaded(path string, err error) error {
	return problem.New(problem.Failed, "%s: the module cannot be loaded", path).
		Because("%s", problem.Sentence(err.Error())).
		Advise(advice.Do(advice.Diagnose))
}

// call makes a call; what it returns is an error by its code.
func (m *module) call(number int, name string, arguments ...uintptr) error {
	if m.functions[number] == 0 {
		return &CallError{Function: name, Code: pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
	}
	rv, _, _ := syscall.SyscallN(m.functions[number], arguments...)
	if uint32(rv) == pkcs11.CKR_OK {
		return nil
	}
	return &CallError{Function: name, Code: Code(uint32(rv))}
}

// initialize allows the module to lock. One that cannot may do without: it is never
// called by two threads at once.
func (m *module) initialize() error {
	var h handed
	defer h.release()
	arguments := make([]byte, 4*pointerSize, 5*pointerSize+ulongSize) // CK_C_INITIALIZE_ARGS: four functions,
	arguments = appendPointer(appendUlong(arguments, pkcs11.CKF_OS_LOCKING_OK), 0)
	err := m.call(fnInitialize, "C_Initialize", h.at(arguments))
	if CodeOf(err) == pkcs11.CKR_CANT_LOCK {
		clear(arguments)
		err = m.call(fnInitialize, "C_Initialize", h.at(arguments))
	}
	return err
}

func (m *module) finalize() error { return m.call(fnFinalize, "C_Finalize", 0) }

// told makes a call whose last argument is a structure that the module fills.
func (m *module) told(number int, name string, size int, arguments ...uintptr) ([]byte, error) {
	var h handed
	defer h.release()
	filled := make([]byte, size)
	err := m.call(number, name, append(arguments, h.at(filled))...)
	return filled, err
}

func (m *module) info() (libraryInfo, error) {
	b, err := m.told(fnGetInfo, "C_GetInfo", 72) // CK_INFO
	return libraryInfo{manufacturer: text(b[2:34]), description: text(b[38:70]), major: b[70], minor: b[71]}, err
}

func (m *module) slotInfo(slot uint) (slotInfo, error) {
	b, err := m.told(fnGetSlotInfo, "C_GetSlotInfo", 104, uintptr(slot)) // CK_SLOT_INFO
	return slotInfo{description: text(b[:64]), manufacturer: text(b[64:96])}, err
}

func (m *module) tokenInfo(slot uint) (tokenInfo, error) {
	b, err := m.told(fnGetTokenInfo, "C_GetTokenInfo", 160, uintptr(slot)) // CK_TOKEN_INFO
	return tokenInfo{
		label: text(b[:32]), manufacturer: text(b[32:64]), model: text(b[64:80]), serial: text(b[80:96]),
		flags: ulongAt(b, 96), maxPINLength: ulongAt(b, 116), minPINLength: ulongAt(b, 120),
	}, err
}

// text is a field without what fills it: blanks, or the zeros of some modules.
func text(field []byte) string { return strings.TrimRight(windows.ByteSliceToString(field), " ") }

func (m *module) mechanismInfo(slot uint, id MechanismID) (mechanismInfo, error) {
	b, err := m.told(fnGetMechanismInfo, "C_GetMechanismInfo", 3*ulongSize, uintptr(slot), uintptr(id)) // CK_MECHANISM_INFO
	return mechanismInfo{minKeySize: ulongAt(b, 0), maxKeySize: ulongAt(b, 4), flags: ulongAt(b, 8)}, err
}

// listedAtOnce asks for a list in one call, with room that is nearly always enough, and
// else as listed does: see direct_list_cgo.go.
func (m *module) listedAtOnce(number int, name string, first uintptr) ([]uint, error) {
	var h handed
	defer h.release()
	list, count := make([]byte, commonList*ulongSize), uint32(commonList)
	if m.call(number, name, first, h.at(list), h.number(&count)) == nil && 0 < count && count < commonList {
		return ulongs(list, int(count)), nil
	}
	return m.listed(number, name, first)
}

// listed asks for the length of a list and then for the list. If the list grew in
// between, it is asked again.
func (m *module) listed(number int, name string, first uintptr) ([]uint, error) {
	for range 3 {
		var h handed
		defer h.release()
		var count uint32
		if err := m.call(number, name, first, 0, h.number(&count)); err != nil || count == 0 {
			return nil, err
		}
		if count > maxList {
			break
		}
		room := count
		list := make([]byte, int(room)*ulongSize)
		err := m.call(number, name, first, h.at(list), h.number(&count))
		switch {
		case err == nil:
			return ulongs(list, int(min(count, room))), nil
		case CodeOf(err) != pkcs11.CKR_BUFFER_TOO_SMALL:
			return nil, err
		}
	}
	return nil, &CallError{Function: name, Code: pkcs11.CKR_GENERAL_ERROR}
}

func ulongs(list []byte, count int) []uint {
	numbers := make([]uint, count)
	for i := range numbers {
		numbers[i] = ulongAt(list, i*ulongSize)
	}
	return numbers
}

func (m *module) slots() ([]uint, error) {
	return m.listed(fnGetSlotList, "C_GetSlotList", ckTrue)
}
func (m *module) knownSlots() ([]uint, error) {
	return m.listedAtOnce(fnGetSlotList, "C_GetSlotList", ckTrue)
}

func (m *module) allSlots() ([]uint, error) {
	return m.listed(fnGetSlotList, "C_GetSlotList", ckFalse)
}

func (m *module) mechanisms(slot uint) ([]MechanismID, error) {
	list, err := m.listedAtOnce(fnGetMechanismList, "C_GetMechanismList", uintptr(slot))
	ids := make([]MechanismID, len(list))
	for i, id := range list {
		ids[i] = MechanismID(id)
	}
	return ids, err
}

func (m *module) openSession(slot uint) (session, error) {
	return m.open(slot, pkcs11.CKF_SERIAL_SESSION)
}

func (m *module) openWritable(slot uint) (session, error) {
	return m.open(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
}

func (m *module) open(slot, flags uint) (session, error) {
	var h handed
	defer h.release()
	var handle uint32
	err := m.call(fnOpenSession, "C_OpenSession", uintptr(slot), uintptr(flags), 0, 0, h.number(&handle))
	return session(handle), err
}

func (m *module) closeSession(s session) error {
	return m.call(fnCloseSession, "C_CloseSession", uintptr(s))
}

// login sends the PIN from where it is; nil for a PIN that is typed elsewhere.
func (m *module) login(s session, user uint, pin []byte) error {
	var h handed
	defer h.release()
	return m.call(fnLogin, "C_Login", uintptr(s), uintptr(user), h.at(pin), uintptr(len(pin)))
}

func (m *module) logout(s session) error { return m.call(fnLogout, "C_Logout", uintptr(s)) }

func (m *module) sessionState(s session) (uint, error) {
	b, err := m.told(fnGetSessionInfo, "C_GetSessionInfo", 4*ulongSize, uintptr(s)) // CK_SESSION_INFO
	return ulongAt(b, ulongSize), err
}
