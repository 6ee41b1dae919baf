package cardsim

import (
	"encoding/binary"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Data objects of the issuer security domain (11.3, appendix H).
const (
	tagIIN              = 0x42
	tagCIN              = 0x45
	tagCardData         = 0x66
	tagKeyTemplate      = 0xE0
	tagSequenceCounter  = 0xC1
	tagDiversification  = 0xCF
	tagLifeCycle        = 0x9F70
	tagProductionData   = 0x9F7F
	tagResources        = 0xFF21 // ETSI TS 102 226, 8.2.1.7.2
	tagPrePersonalized  = 0x9F67 // STORE DATA of the CPLC fields on pre-personalisation
	tagPersonalized     = 0x9F66 // and on personalisation
	tagRecognition      = 0x73
	productionPrePerso  = 26 // where these fields begin in the CPLC
	productionPerso     = 34
	productionPersoSize = 8
)

// getData is GET DATA (11.3), which needs no authentication.
func (a *gp) getData(c iso7816.Command) ([]byte, iso7816.Status) {
	tag := iso7816.Tag(c.P1)<<8 | iso7816.Tag(c.P2)
	value, ok := a.object(tag)
	if !ok {
		return nil, iso7816.StatusReferenceNotFound
	}
	return iso7816.AppendTLV(nil, tag, value), iso7816.StatusOK
}

func (a *gp) object(tag iso7816.Tag) (value []byte, ok bool) {
	switch tag {
	case tagIIN:
		return a.state.IIN, a.state.IIN != nil
	case tagCIN:
		return a.state.CIN, a.state.CIN != nil
	case tagCardData:
		return a.recognitionData(), true
	case tagKeyTemplate:
		return a.keyInformation(), true
	case tagSequenceCounter:
		counter := binary.BigEndian.AppendUint32(nil, a.keySet(0).Counter)
		switch a.state.channel().protocol {
		case 2:
			return counter[2:], true
		case 3:
			return counter[1:], a.state.channel().i&scp03PseudoRandom != 0
		}
	case tagDiversification:
		return a.diversificationData(), true
	case tagLifeCycle:
		return []byte{a.state.LifeCycle}, true
	case tagProductionData:
		return a.state.CPLC, true
	case tagResources:
		return a.resources(), true
	}
	return nil, false
}

// recognitionData is the card recognition data (H.2): GlobalPlatform 2.3.1,
// and the secure channel.
func (a *gp) recognitionData() []byte {
	channel := a.state.channel()
	identifier := func(arcs ...byte) []byte { // below {iso us GlobalPlatform}
		return iso7816.AppendTLV(nil, 0x06, append([]byte{0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B}, arcs...))
	}
	data := identifier(1)
	data = iso7816.AppendTLV(data, 0x60, identifier(2, 2, 3, 1)) // version
	data = iso7816.AppendTLV(data, 0x63, identifier(3))          // card identification
	data = iso7816.AppendTLV(data, 0x64, identifier(4, channel.protocol, channel.i))
	return iso7816.AppendTLV(nil, tagRecognition, data)
}

// keyInformation is the key information template (11.3.3.1).
func (a *gp) keyInformation() []byte {
	var data []byte
	for _, set := range *a.keySets() {
		for i, key := range set.Keys {
			data = iso7816.AppendTLV(data, 0xC0, []byte{byte(i + 1), set.Version, set.channel(a.state.channel()).keyType(), byte(len(key))})
		}
	}
	if m := a.state.Management; m != nil && a.domain == nil {
		data = m.information(data)
	}
	return data
}

// volatileMemory is what the card says it has left, in bytes: nothing that is
// installed takes any.
const volatileMemory = 4096

// resources are the extended card resources: applications, free non-volatile
// and volatile memory.
func (a *gp) resources() []byte {
	data := iso7816.AppendTLV(nil, 0x81, []byte{byte(len(a.state.Instances))})
	data = iso7816.AppendTLV(data, 0x82, binary.BigEndian.AppendUint32(nil, uint32(a.state.free())))
	return iso7816.AppendTLV(data, 0x83, binary.BigEndian.AppendUint32(nil, volatileMemory))
}

// storeLimit is how much STORE DATA keeps before the last block, in bytes.
const storeLimit = 2048

// storeData is STORE DATA (11.11): P1 says whether it is the last block and
// how the data is structured, P2 numbers the block.
func (a *gp) storeData(c iso7816.Command) ([]byte, iso7816.Status) {
	const last, structure, dgi = 0x80, 0x18, 0x08
	blocks, number := a.storing, a.storeBlock
	a.storing, a.storeBlock = nil, 0
	switch {
	case int(c.P2) != number:
		return nil, iso7816.StatusWrongP1P2
	case len(blocks)+len(c.Data) > storeLimit:
		return nil, iso7816.StatusNoSpace
	}
	blocks = append(blocks, c.Data...)
	if c.P1&last == 0 {
		a.storing, a.storeBlock = blocks, number+1
		return nil, iso7816.StatusOK
	}
	if a.personal != nil || a.domain != nil {
		return nil, iso7816.StatusOK // the application, or a domain, kept what it wanted
	}
	objects, status := storedObjects(blocks, c.P1&structure == dgi)
	if status != iso7816.StatusOK {
		return nil, status
	}
	return nil, a.store(objects)
}

// storedObjects reads BER-TLV, or data groups: identifier and length in two
// bytes or one.
func storedObjects(data []byte, groups bool) ([]iso7816.TLV, iso7816.Status) {
	if !groups {
		list, err := iso7816.ParseTLVs(data)
		if err != nil || len(list) == 0 {
			return nil, iso7816.StatusWrongData
		}
		return list, iso7816.StatusOK
	}
	var list []iso7816.TLV
	for len(data) > 0 {
		if len(data) < 3 {
			return nil, iso7816.StatusWrongData
		}
		tag, length, rest := iso7816.Tag(data[0])<<8|iso7816.Tag(data[1]), int(data[2]), data[3:]
		if length == 0xFF {
			if len(rest) < 2 {
				return nil, iso7816.StatusWrongData
			}
			length, rest = int(rest[0])<<8|int(rest[1]), rest[2:]
		}
		if length > len(rest) {
			return nil, iso7816.StatusWrongData
		}
		list = append(list, iso7816.TLV{Tag: tag, Value: rest[:length]})
		data = rest[length:]
	}
	return list, iso7816.StatusOK
}

// store writes data objects of the security domain, all or none.
func (a *gp) store(objects []iso7816.TLV) iso7816.Status {
	changed := a.state
	changed.CPLC = slices.Clone(changed.CPLC)
	for _, object := range objects {
		value := slices.Clone(object.Value)
		switch object.Tag {
		case tagIIN:
			changed.IIN = value
		case tagCIN:
			changed.CIN = value
		case tagRegistryAID:
			if !validAID(value) || a.state.taken(value) {
				return iso7816.StatusWrongData
			}
			changed.AID = value
		case tagPrePersonalized, tagPersonalized:
			at := productionPrePerso
			if object.Tag == tagPersonalized {
				at = productionPerso
			}
			if len(value) != productionPersoSize {
				return iso7816.StatusWrongData
			}
			copy(changed.CPLC[at:], value)
		default:
			return iso7816.StatusReferenceNotFound
		}
	}
	a.state = changed
	return a.save()
}
