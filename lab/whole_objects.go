package lab

import (
	"strings"
	"unicode/utf16"
)

// objectManager is what the object manager knows: types, directories, the cookie that
// hides a type's index in an object's header.
type objectManager struct {
	cookie byte
	types  map[string]uint64 // _OBJECT_TYPE by name
	index  map[string]byte
	root   uint64 // _OBJECT_DIRECTORY
	dirs   map[string]uint64
}

// objectTypes in the order of ObTypeIndexTable, whose first two places are taken. The
// variable that leads to each, "" for none.
var objectTypes = []struct{ name, variable string }{
	{"Type", "ObpTypeObjectType"}, {"Directory", "ObpDirectoryObjectType"}, {"SymbolicLink", "ObpSymbolicLinkObjectType"},
	{"Token", "SeTokenObjectType"}, {"Job", "PsJobType"}, {"Process", "PsProcessType"}, {"Thread", "PsThreadType"},
	{"Event", "ExEventObjectType"}, {"Mutant", "ExMutantObjectType"}, {"Semaphore", "ExSemaphoreObjectType"},
	{"Section", "MmSectionObjectType"}, {"Key", "CmKeyObjectType"}, {"ALPC Port", "AlpcPortObjectType"},
	{"Driver", "IoDriverObjectType"}, {"Device", "IoDeviceObjectType"}, {"File", "IoFileObjectType"},
}

const (
	objectHeader = 0x30               // bytes of _OBJECT_HEADER before the body
	badPointer   = 0xffffa7fffffff000 // MmBadPointer, nowhere mapped, and the second entry of ObTypeIndexTable
)

// buildObjects makes the types and the directories \, \Device, \Driver, \FileSystem.
func (s *System) buildObjects() {
	s.objects = objectManager{cookie: 0x5c, types: map[string]uint64{}, index: map[string]byte{}, dirs: map[string]uint64{}}
	s.put(s.variable("ObHeaderCookie", 1), []byte{s.objects.cookie})
	s.put(s.variable("ObpInfoMaskToOffset", 256), infoMaskOffsets())
	table := s.variable("ObTypeIndexTable", 8*256)
	s.word(table+8, badPointer)
	s.pointer("MmBadPointer", badPointer)
	for i, t := range objectTypes {
		s.objects.index[t.name] = byte(i + 2)
	}
	for i, t := range objectTypes {
		va := s.object("Type", 0xd8, "ObjT", t.name, "")
		var w buf
		w.grow(0xd8)
		w.put64s(0, va, va)
		w.putText(0x10, t.name, s.text("ObNm", t.name, true))
		w.put8(0x28, byte(i+2))
		w.put16(0x40, 0x78) // TypeInfo.Length
		w.put32(0xc0, 0)
		w.put64s(0xc8, va+0xc8, va+0xc8)
		s.put(va, w.b)
		s.objects.types[t.name] = va
		s.word(table+8*uint64(i+2), va)
		s.pointer(t.variable, va)
	}
	s.objects.root = s.directory("", "")
	s.pointer("ObpRootDirectoryObject", s.objects.root)
	for _, name := range []string{"Device", "Driver", "FileSystem", "ObjectTypes"} {
		s.objects.dirs[name] = s.directory(name, "")
		s.enter(s.objects.root, name, s.objects.dirs[name])
	}
	for _, t := range objectTypes {
		s.enter(s.objects.dirs["ObjectTypes"], t.name, s.objects.types[t.name])
	}
}

// infoMaskOffsets returns ObpInfoMaskToOffset: how far in front of the header the last of
// the optional headers stands that a mask names: creator info 1 (0x20 bytes), name info 2
// (0x20), handle info 4 (0x10), quota info 8 (0x20), process info 0x10 (0x10).
func infoMaskOffsets() []byte {
	b := make([]byte, 256)
	for mask := range b {
		for bit, size := range []byte{0x20, 0x20, 0x10, 0x20, 0x10, 0x10, 0x10, 0x04} {
			if mask>>bit&1 != 0 {
				b[mask] += size
			}
		}
	}
	return b
}

// object makes an object with its header and returns the address of its body, all zero. A
// name puts _OBJECT_HEADER_NAME_INFO in front; its directory is the one of that path.
// dt nt!_OBJECT_HEADER, nt!_OBJECT_HEADER_NAME_INFO, the same on all 64-bit builds.
func (s *System) object(kind string, size uint64, tag, name, directory string) uint64 {
	front := uint64(0)
	if name != "" {
		front = 0x20
	}
	block := s.alloc(tag, front+objectHeader+size, false)
	head := block + front
	var w buf
	w.grow(int(front + objectHeader + size))
	mask := byte(0)
	if name != "" {
		mask = 2
		w.put64(0, s.objects.dirs[directory])
		w.putText(8, name, s.text("ObNm", name, true))
		w.put32(0x18, 1)
	}
	at := int(front)
	w.put64s(at, 0x8001, 1)
	index := s.objects.index[kind] ^ s.objects.cookie ^ byte(head>>8)
	w.put(at+0x18, []byte{index, 0, mask, 0x12}) // Flags: KernelObject, PermanentObject
	s.put(block, w.b)
	return head + objectHeader
}

// directory makes an _OBJECT_DIRECTORY, empty.
func (s *System) directory(name, parent string) uint64 {
	if name == "" {
		name = `\`
	}
	return s.object("Directory", 0x158, "Dire", name, parent)
}

// enter puts an object into a directory: a hash bucket holds a chain of entries {ChainLink,
// Object, HashValue}. dt nt!_OBJECT_DIRECTORY_ENTRY; the hash, over the letters in upper
// case: github.com/reactos/reactos ntoskrnl/ob/obdir.c.
func (s *System) enter(directory uint64, name string, object uint64) {
	hash := uint32(0)
	for _, c := range utf16.Encode([]rune(strings.ToUpper(name))) {
		hash += hash<<1 + hash>>1 + uint32(c)
	}
	bucket := directory + 8*uint64(hash%37)
	entry := s.alloc("ObDi", 0x18, true)
	s.word(entry, s.peek(bucket))
	s.word(entry+8, object)
	s.word(entry+16, uint64(hash))
	s.word(bucket, entry)
}

// handleTable makes a _HANDLE_TABLE of one level that holds the objects; their handles are 4,
// 8 and so on. dt nt!_HANDLE_TABLE, nt!_HANDLE_TABLE_ENTRY.
func (s *System) handleTable(process uint64, pid uint32, count uint32, objects []uint64) uint64 {
	page := s.alloc("Obtb", 0x1000, true)
	for i, o := range objects {
		if o != 0 && i < 255 {
			s.handle(page+16*uint64(i+1), o)
		}
	}
	r := s.record("_HANDLE_TABLE", s.alloc("Obtb", s.layout.Size("_HANDLE_TABLE"), true))
	r.set32("NextHandleNeedingPool", 0x400)
	r.set64("TableCode", page)
	r.set64("QuotaProcess", process)
	r.set32("UniqueProcessId", pid)
	if o := r.off("FreeLists"); o >= 0 {
		if n, ok := s.layout.Field("_HANDLE_TABLE_FREE_LIST", "HandleCount"); ok {
			r.put32(o+int(n), count)
			r.put32(o+int(n)+4, count)
		}
	}
	r.write()
	return r.va
}

// handle writes an entry: unlocked, the header's address without its low 4 bits from bit 20 on.
func (s *System) handle(at, object uint64) {
	s.word(at, (object-objectHeader)>>4<<20|1)
	s.word(at+8, 0x1fffff) // GrantedAccessBits
}
