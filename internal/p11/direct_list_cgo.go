//go:build cgo && !windows

package p11

/*
#include "functions.h"

enum { GET_SLOT_LIST = 4, GET_MECHANISM_LIST = 7, FIND_OBJECTS = 27 };

typedef ck_ulong (*get_slot_list_function)(ck_byte, ck_ulong *, ck_ulong *);
typedef ck_ulong (*get_mechanism_list_function)(ck_ulong, ck_ulong *, ck_ulong *);
typedef ck_ulong (*find_objects_function)(ck_ulong, ck_ulong *, ck_ulong, ck_ulong *);

static ck_ulong list_slots(struct functions *f, ck_byte with_token, ck_ulong *list, ck_ulong *count) {
	return ((get_slot_list_function)f->function[GET_SLOT_LIST])(with_token, list, count);
}

static ck_ulong list_mechanisms(struct functions *f, ck_ulong slot, ck_ulong *list, ck_ulong *count) {
	return ((get_mechanism_list_function)f->function[GET_MECHANISM_LIST])(slot, list, count);
}

static ck_ulong find_objects(struct functions *f, ck_ulong session, ck_ulong *list, ck_ulong most, ck_ulong *count) {
	return ((find_objects_function)f->function[FIND_OBJECTS])(session, list, most, count);
}
*/
import "C"

import "github.com/miekg/pkcs11"

// listedAtOnce asks for a list in one call, with room that is nearly always
// enough, and else as listed does. Some modules leave a list alone whose length
// they were not asked for: no list, or none that the module gives at once, is
// asked for again.
func listedAtOnce(function string, ask func(list, count *C.ck_ulong) C.ck_ulong) ([]C.ck_ulong, error) {
	list, count := make([]C.ck_ulong, commonList), C.ck_ulong(commonList)
	if result(function, ask(&list[0], &count)) == nil && 0 < count && count < commonList {
		return list[:count], nil
	}
	return listed(function, ask)
}

// listed asks for the length of a list and then for the list: miekg/pkcs11 makes
// room for whatever a module says, and falls where there is none. Where the list
// grew in between, it is asked again.
func listed(function string, ask func(list, count *C.ck_ulong) C.ck_ulong) ([]C.ck_ulong, error) {
	for range 3 {
		var count C.ck_ulong
		if err := result(function, ask(nil, &count)); err != nil || count == 0 {
			return nil, err
		}
		if count > maxList {
			break
		}
		room := count
		list := make([]C.ck_ulong, room)
		err := result(function, ask(&list[0], &count))
		switch {
		case err == nil:
			return list[:min(count, room)], nil
		case CodeOf(err) != pkcs11.CKR_BUFFER_TOO_SMALL:
			return nil, err
		}
	}
	return nil, &CallError{Function: function, Code: pkcs11.CKR_GENERAL_ERROR}
}

func (d direct) slots() ([]uint, error)      { return d.listSlots(listed, 1) }
func (d direct) knownSlots() ([]uint, error) { return d.listSlots(listedAtOnce, 1) }
func (d direct) allSlots() ([]uint, error)   { return d.listSlots(listed, 0) }

func (d direct) listSlots(how func(string, func(list, count *C.ck_ulong) C.ck_ulong) ([]C.ck_ulong, error), withToken C.ck_byte) ([]uint, error) {
	list, err := how("C_GetSlotList", func(list, count *C.ck_ulong) C.ck_ulong {
		return C.list_slots(d.list, withToken, list, count)
	})
	slots := make([]uint, len(list))
	for i, slot := range list {
		slots[i] = uint(slot)
	}
	return slots, err
}

func (d direct) mechanisms(slot uint) ([]MechanismID, error) {
	list, err := listedAtOnce("C_GetMechanismList", func(list, count *C.ck_ulong) C.ck_ulong {
		return C.list_mechanisms(d.list, C.ck_ulong(slot), list, count)
	})
	ids := make([]MechanismID, len(list))
	for i, id := range list {
		ids[i] = MechanismID(id)
	}
	return ids, err
}

// nextObjects are the next handles of a search that was begun, none at its end.
func (d direct) nextObjects(s session) ([]object, error) {
	var batch [searchBatch]C.ck_ulong
	var count C.ck_ulong
	if err := result("C_FindObjects", C.find_objects(d.list, C.ck_ulong(s), &batch[0], C.ck_ulong(len(batch)), &count)); err != nil {
		return nil, err
	}
	found := make([]object, min(count, C.ck_ulong(len(batch))))
	for i := range found {
		found[i] = object(batch[i])
	}
	return found, nil
}
