package p11

import "bytes"

func (m *module) findObjects(s session, template []objectAttribute) (found []object, err error) {
	var h handed
	defer h.release()
	list, wipe := h.template(template)
	defer wipe()
	if err := m.call(fnFindObjectsInit, "C_FindObjectsInit", uintptr(s), h.at(list), uintptr(len(template))); err != nil {
		return nil, err
	}
	defer func() {
		if ferr := m.call(fnFindObjectsFinal, "C_FindObjectsFinal", uintptr(s)); err == nil {
			err = ferr
		}
	}()
	batch := make([]byte, searchBatch*ulongSize)
	for len(found) < maxObjects {
		var count uint32
		if err := m.call(fnFindObjects, "C_FindObjects", uintptr(s), h.at(batch), searchBatch, h.number(&count)); err != nil {
			return nil, err
		}
		for _, handle := range ulongs(batch, int(min(count, searchBatch))) {
			found = append(found, object(handle))
		}
		if count < searchBatch { // as NSS takes it
			break
		}
	}
	return found, nil
}

// reader reads attributes of an object.
func (m *module) reader(s session, o object) attributeReader {
	return func(kinds []uint, room uint) ([][]byte, []uint, error) { return m.read(s, o, kinds, room) }
}

func (m *module) attributes(s session, o object, kinds []uint) ([][]byte, error) {
	return m.reader(s, o).attributes(kinds)
}

func (m *module) attribute(s session, o object, kind uint) ([]byte, error) {
	return m.reader(s, o).attribute(kind)
}

// read makes one call with room bytes for each value, none to ask for the lengths.
func (m *module) read(s session, o object, kinds []uint, room uint) (values [][]byte, sizes []uint, err error) {
	var h handed
	defer h.release()
	var list []byte
	for _, kind := range kinds {
		values = append(values, make([]byte, room))
		list = h.triple(list, kind, values[len(values)-1])
	}
	err = m.call(fnGetAttributeValue, "C_GetAttributeValue", uintptr(s), uintptr(o), h.at(list), uintptr(len(kinds)))
	for i := range kinds {
		sizes = append(sizes, ulongAt(list, i*tripleSize+ulongSize+pointerSize))
	}
	return values, sizes, err
}

func (m *module) destroyObject(s session, o object) error {
	return m.call(fnDestroyObject, "C_DestroyObject", uintptr(s), uintptr(o))
}

func (m *module) createObject(s session, template []objectAttribute) (object, error) {
	var h handed
	defer h.release()
	list, wipe := h.template(template)
	defer wipe()
	var created uint32
	err := m.call(fnCreateObject, "C_CreateObject", uintptr(s), h.at(list), uintptr(len(template)), h.number(&created))
	return object(created), err
}

func (m *module) setAttribute(s session, o object, a objectAttribute) error {
	var h handed
	defer h.release()
	list, wipe := h.template([]objectAttribute{a})
	defer wipe()
	return m.call(fnSetAttributeValue, "C_SetAttributeValue", uintptr(s), uintptr(o), h.at(list), 1)
}

func (m *module) generateKeyPair(s session, how mechanism, public, private []objectAttribute) (object, object, error) {
	var h handed
	defer h.release()
	publicList, wipePublic := h.template(public)
	defer wipePublic()
	privateList, wipePrivate := h.template(private)
	defer wipePrivate()
	var publicKey, privateKey uint32
	err := m.call(fnGenerateKeyPair, "C_GenerateKeyPair", uintptr(s), h.at(h.mechanism(how)),
		h.at(publicList), uintptr(len(public)), h.at(privateList), uintptr(len(private)), h.number(&publicKey), h.number(&privateKey))
	return object(publicKey), object(privateKey), err
}

func (m *module) deriveKey(s session, how mechanism, key object, template []objectAttribute) (object, error) {
	var h handed
	defer h.release()
	list, wipe := h.template(template)
	defer wipe()
	var derived uint32
	err := m.call(fnDeriveKey, "C_DeriveKey", uintptr(s), h.at(h.mechanism(how)), uintptr(key),
		h.at(list), uintptr(len(template)), h.number(&derived))
	return object(derived), err
}

func (m *module) signInit(s session, how mechanism, key object) error {
	return m.begin(fnSignInit, "C_SignInit", s, how, key)
}

func (m *module) decryptInit(s session, how mechanism, key object) error {
	return m.begin(fnDecryptInit, "C_DecryptInit", s, how, key)
}

func (m *module) begin(number int, name string, s session, how mechanism, key object) error {
	var h handed
	defer h.release()
	return m.call(number, name, uintptr(s), h.at(h.mechanism(how)), uintptr(key))
}

func (m *module) sign(s session, data []byte, size int) ([]byte, error) {
	return m.use(fnSign, "C_Sign", s, data, size)
}

func (m *module) decrypt(s session, data []byte, size int) ([]byte, error) {
	return m.use(fnDecrypt, "C_Decrypt", s, data, size)
}

// use calls C_Sign or C_Decrypt, whose answer has at most size bytes.
func (m *module) use(number int, name string, s session, data []byte, size int) ([]byte, error) {
	var h handed
	defer h.release()
	out, length := make([]byte, size), uint32(size)
	if err := m.call(number, name, uintptr(s), h.at(data), uintptr(len(data)), h.at(out), h.number(&length)); err != nil {
		return nil, err
	}
	return out[:min(int(length), size)], nil
}

func (m *module) initToken(slot uint, pin []byte, label string) error {
	var h handed
	defer h.release()
	padded := append([]byte(label), bytes.Repeat([]byte{' '}, labelSize)...)[:labelSize]
	return m.call(fnInitToken, "C_InitToken", uintptr(slot), h.at(pin), uintptr(len(pin)), h.at(padded))
}

func (m *module) initPIN(s session, pin []byte) error {
	var h handed
	defer h.release()
	return m.call(fnInitPIN, "C_InitPIN", uintptr(s), h.at(pin), uintptr(len(pin)))
}

func (m *module) setPIN(s session, old, replacement []byte) error {
	var h handed
	defer h.release()
	return m.call(fnSetPIN, "C_SetPIN", uintptr(s), h.at(old), uintptr(len(old)), h.at(replacement), uintptr(len(replacement)))
}
