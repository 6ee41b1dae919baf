package secret

import (
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// checkReaders refuses a file that others may read by its access control list:
// others than its owner, who reads it, the system and the administrators.
func checkReaders(f *os.File, mode fs.FileMode, path string) error {
	if !mode.IsRegular() {
		return nil
	}
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return readError(err)
	}
	list, _, err := sd.DACL()
	if err != nil || list == nil { // no list at all lets everybody in
		return readableBy("everybody", path)
	}
	trusted, err := trusted(sd)
	if err != nil {
		return readError(err)
	}
	for i := range list.AceCount {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, uint32(i), &entry); err != nil {
			return readError(err)
		}
		if sid := reader(entry); sid != nil && !among(sid, trusted) {
			return readableBy(account(sid), path)
		}
	}
	return nil
}

// reader is whom an entry allows to read the file; nil where it does not.
func reader(entry *windows.ACCESS_ALLOWED_ACE) *windows.SID {
	const allowedCallback = 9 // ACCESS_ALLOWED_CALLBACK_ACE_TYPE, whose SID stands in the same place
	const reads = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL
	allows := entry.Header.AceType == windows.ACCESS_ALLOWED_ACE_TYPE || entry.Header.AceType == allowedCallback
	if !allows || entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || entry.Mask&reads == 0 {
		return nil
	}
	return (*windows.SID)(unsafe.Pointer(&entry.SidStart))
}

// trusted are who may read a secret: the owner of the file, the user, and who can
// read everything anyway.
func trusted(sd *windows.SECURITY_DESCRIPTOR) ([]*windows.SID, error) {
	owner, _, err := sd.Owner()
	if err != nil {
		return nil, err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	all := []*windows.SID{owner, user.User.Sid}
	for _, known := range []windows.WELL_KNOWN_SID_TYPE{
		windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid, windows.WinCreatorOwnerRightsSid,
	} {
		sid, err := windows.CreateWellKnownSid(known)
		if err != nil {
			return nil, err
		}
		all = append(all, sid)
	}
	return all, nil
}

func among(sid *windows.SID, all []*windows.SID) bool {
	for _, other := range all {
		if sid.Equals(other) {
			return true
		}
	}
	return false
}

// account is the name of a SID, or what it is made of where it has none here.
func account(sid *windows.SID) string {
	name, _, _, err := sid.LookupAccount("")
	if err != nil {
		return sid.String()
	}
	return name
}

func readableBy(who, path string) error {
	return problem.New(problem.Usage, "other users can read it").
		Because("The access control list of the file lets %s read it.", who).
		Advise(advice.Run("icacls", path, "/inheritance:r", "/grant:r", "%USERNAME%:R"))
}
