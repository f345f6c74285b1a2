package kernel

import (
	"errors"
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// Layouts of the registry in memory, 64-bit: dt nt!_HHIVE, _DUAL, _HMAP_ENTRY,
// _CM_KEY_NODE, _CM_KEY_INDEX, _CM_KEY_VALUE and _HBASE_BLOCK in the public symbols of
// 17763 to 22621. The bits of a cell's index: Volatility 3, framework/layers/registry.py.
const (
	hiveSignature  = 0xbee0bee0
	baseRootCell   = 0x24
	dualLength     = 0x0
	dualMap        = 0x8
	mapEntryOffset = 0x0 // BlockOffset
	mapEntryBin    = 0x8 // PermanentBinAddress, its low four bits are flags
	mapEntrySize   = 0x18

	cellVolatile = 1 << 31
	noCell       = 0xffffffff

	keySignature   = 0x6b6e // nk
	keySubkeys     = 0x14   // SubKeyCounts, the stable ones first
	keySubkeyList  = 0x1c
	keyValues      = 0x24
	keyValueList   = 0x28
	keyNameLength  = 0x48
	keyName        = 0x4c
	keyASCII       = 0x20   // of Flags: the name has one byte a character
	valueSignature = 0x6b76 // vk
	valueData      = 0x8
	valueType      = 0xc
	valueFlags     = 0x10
	valueName      = 0x14
	valueInline    = 1 << 31 // of DataLength: the data stand in Data

	indexLeaf, indexFast, indexHash, indexRoot = 0x696c, 0x666c, 0x686c, 0x6972 // li, lf, lh, ri

	maxHives    = 4096
	maxCell     = 1 << 20
	maxSubkeys  = 1 << 16
	maxKeyValue = 1024
	maxText16   = 0x1000   // bytes of a value that is text
	maxHiveRead = 64 << 20 // bytes of a hive's cells for one question
)

// Hive is a part of the registry.
type Hive struct {
	Address mem.VA // CMHIVE
	Path    string // in the registry: \REGISTRY\MACHINE\SYSTEM
	File    string
}

// Service is a driver or a service, as HKLM\SYSTEM\CurrentControlSet\Services has it.
type Service struct {
	Name, DisplayName, ImagePath string  // "": not known
	Start, Type                  *uint32 // SERVICE_BOOT_START, …; SERVICE_KERNEL_DRIVER, … (winnt.h); nil: not known
}

// Hives lists the registry's hives. What was read is returned beside the error.
func (m *Machine) Hives() ([]Hive, error) {
	f := &fields{m: m}
	link, path, file := f.at("_CMHIVE", "HiveList"), f.at("_CMHIVE", "HiveRootPath"), f.at("_CMHIVE", "FileFullPath")
	if err := f.err(); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	head, err := m.hiveList(mem.VA(link))
	if err != nil {
		return nil, err
	}
	entries, err := m.ring(m.Memory, head, maxHives)
	if err != nil {
		err = fmt.Errorf("registry: list of hives at %v: %w", head, err)
	}
	var list []Hive
	for _, entry := range entries {
		at := entry - mem.VA(link)
		list = append(list, Hive{Address: at, Path: m.unicodeString(at + mem.VA(path)), File: m.unicodeString(at + mem.VA(file))})
	}
	return list, err
}

// hiveList finds CmpHiveListHead: by symbols, else as the variable that is the head of
// a list whose first entry is a hive's.
func (m *Machine) hiveList(link mem.VA) (mem.VA, error) {
	if va, ok := m.Variable("CmpHiveListHead"); ok {
		return va, nil
	}
	if m.Arch == dump.X86 {
		return 0, fmt.Errorf("registry: 32-bit hives are not decoded")
	}
	at, ok := m.findWords(func(words []byte, at mem.VA) bool {
		next, last := mem.VA(le.U64(words, 0)), mem.VA(le.U64(words, 8))
		if next%8 != 0 || last%8 != 0 || !m.isKernelAddress(next) || !m.isKernelAddress(last) || next == at {
			return false
		}
		sign, err := mem.ReadU32(m.Memory, next-link)
		return err == nil && sign == hiveSignature
	})
	if !ok {
		return 0, fmt.Errorf("registry: symbols do not say where CmpHiveListHead is, and no variable of the kernel looks like it")
	}
	return at, nil
}

// Services lists what is registered to run. What was read is returned beside the errors.
func (m *Machine) Services() ([]Service, error) {
	hives, errHives := m.Hives()
	for _, h := range hives {
		if strings.EqualFold(h.Path, `\REGISTRY\MACHINE\SYSTEM`) || strings.HasSuffix(strings.ToUpper(h.File), `\CONFIG\SYSTEM`) {
			list, err := m.servicesIn(h)
			return list, errors.Join(errHives, err)
		}
	}
	return nil, firstError(errHives, fmt.Errorf(`registry: none of %d hives is \REGISTRY\MACHINE\SYSTEM`, len(hives)))
}

func (m *Machine) servicesIn(h Hive) ([]Service, error) {
	c, err := m.cells(h)
	if err != nil {
		return nil, err
	}
	set := uint32(1)
	if key, err := c.find(c.root, "Select"); err == nil {
		if n := c.values(key)["current"].number(); n != nil && *n < 1000 {
			set = *n
		}
	}
	services, err := c.find(c.root, fmt.Sprintf("ControlSet%03d", set), "Services")
	if err != nil {
		return nil, err
	}
	var list []Service
	keys, err := c.subkeys(services)
	for _, key := range keys {
		name, errName := c.name(key)
		err = firstError(err, errName)
		if errName != nil {
			continue
		}
		v := c.values(key)
		list = append(list, Service{Name: name, DisplayName: v["displayname"].text(), ImagePath: v["imagepath"].text(),
			Start: v["start"].number(), Type: v["type"].number()})
	}
	return list, err
}

// cells reads the cells of a hive by their index.
type cells struct {
	m       *Machine
	hive    mem.VA
	storage mem.VA // DUAL of the stable cells; that of the volatile ones follows
	dual    mem.VA // size of one
	user    mem.Reader
	root    uint32
	left    int // bytes that may still be read
}

// cells prepares a hive. From 17134 on its cells lie in the address space of the process
// Registry, below the kernel's.
func (m *Machine) cells(h Hive) (*cells, error) {
	f := &fields{m: m}
	storage, base := f.at("_HHIVE", "Storage"), f.at("_HHIVE", "BaseBlock")
	dual := m.SizeOf("_DUAL")
	if err := f.err(); err != nil || dual == 0 {
		return nil, firstError(err, fmt.Errorf("the layout of _DUAL is not known for this kernel"))
	}
	if n := m.SizeOf("_HMAP_ENTRY"); n != mapEntrySize {
		return nil, fmt.Errorf("hive at %v: entries of its map have 0x%x bytes, which are not decoded", h.Address, n)
	}
	c := &cells{m: m, hive: h.Address, storage: h.Address + mem.VA(storage), dual: mem.VA(dual), user: m.registryMemory(), left: maxHiveRead}
	block, err := mem.ReadVA(m.Memory, h.Address+mem.VA(base))
	if err != nil {
		return nil, fmt.Errorf("hive at %v: %w", h.Address, err)
	}
	if block == 0 {
		return nil, fmt.Errorf("hive at %v: it has no base block", h.Address)
	}
	var b [4]byte
	if _, err := c.memory(block).ReadAt(b[:], block+baseRootCell); err != nil {
		return nil, fmt.Errorf("hive at %v: base block: %w", h.Address, err)
	}
	c.root = le.U32(b[:], 0)
	return c, nil
}

// registryMemory is the address space of the process Registry; that of the machine
// where there is none.
func (m *Machine) registryMemory() mem.Reader {
	if m.Physical == nil {
		return m.Memory
	}
	list, _ := m.Processes() // what of them can be read
	for _, p := range list {
		if p.Name == "Registry" && p.DirectoryTable != 0 {
			return m.Space(p.DirectoryTable)
		}
	}
	return m.Memory
}

func (c *cells) memory(va mem.VA) mem.Reader {
	if c.m.isKernelAddress(va) {
		return c.m.Memory
	}
	return c.user
}

// cell reads a cell without its size.
func (c *cells) cell(index uint32) ([]byte, error) {
	dual := c.storage
	if index&cellVolatile != 0 {
		dual += c.dual
	}
	head, err := mem.Read(c.m.Memory, dual, dualMap+8)
	if err != nil {
		return nil, fmt.Errorf("hive at %v: %w", c.hive, err)
	}
	if index&^cellVolatile >= le.U32(head, dualLength) {
		return nil, fmt.Errorf("hive at %v: cell 0x%x lies behind its end", c.hive, index)
	}
	at := mem.VA(le.U64(head, dualMap)) + 8*mem.VA(index>>21&0x3ff)
	table, err := mem.ReadVA(c.m.Memory, at)
	if err != nil {
		return nil, fmt.Errorf("hive at %v: cell 0x%x: map: %w", c.hive, index, err)
	}
	entry, err := mem.Read(c.m.Memory, table+mapEntrySize*mem.VA(index>>12&0x1ff), mapEntrySize)
	if err != nil {
		return nil, fmt.Errorf("hive at %v: cell 0x%x: map: %w", c.hive, index, err)
	}
	va := mem.VA(le.U64(entry, mapEntryBin)&^0xf+le.U64(entry, mapEntryOffset)) + mem.VA(index&0xfff)
	var b [4]byte
	if _, err := c.memory(va).ReadAt(b[:], va); err != nil {
		return nil, fmt.Errorf("hive at %v: cell 0x%x: %w", c.hive, index, err)
	}
	size := -int64(int32(le.U32(b[:], 0))) // that of a cell in use is negative
	if size < 8 || size > maxCell {
		return nil, fmt.Errorf("hive at %v: cell 0x%x at %v: its size is 0x%x", c.hive, index, va, le.U32(b[:], 0))
	}
	if c.left -= int(size); c.left < 0 {
		return nil, fmt.Errorf("hive at %v: cell 0x%x: more than 0x%x bytes were read", c.hive, index, maxHiveRead)
	}
	data, err := mem.Read(c.memory(va), va+4, int(size)-4)
	if err != nil {
		return nil, fmt.Errorf("hive at %v: cell 0x%x: %w", c.hive, index, err)
	}
	return data, nil
}

// key reads a CM_KEY_NODE.
func (c *cells) key(index uint32) ([]byte, error) {
	b, err := c.cell(index)
	if err != nil {
		return nil, err
	}
	if len(b) < keyName || le.U16(b, 0) != keySignature {
		return nil, fmt.Errorf("hive at %v: cell 0x%x is no key", c.hive, index)
	}
	return b, nil
}

func (c *cells) name(index uint32) (string, error) {
	b, err := c.key(index)
	if err != nil {
		return "", err
	}
	return registryName(b[keyName:], int(le.U16(b, keyNameLength)), le.U16(b, 2)&keyASCII != 0), nil
}

func registryName(b []byte, n int, ascii bool) string {
	b = b[:min(n, len(b))]
	if ascii {
		return win.ASCII(b)
	}
	return win.UTF16(b)
}

// find follows names from a key on, in any case.
func (c *cells) find(key uint32, path ...string) (uint32, error) {
	for _, want := range path {
		list, err := c.subkeys(key)
		found := false
		for _, sub := range list {
			if name, _ := c.name(sub); strings.EqualFold(name, want) {
				key, found = sub, true
				break
			}
		}
		if !found {
			return 0, firstError(err, fmt.Errorf("hive at %v: key 0x%x has no key %q", c.hive, key, want))
		}
	}
	return key, nil
}

// subkeys lists the stable keys below a key.
func (c *cells) subkeys(index uint32) ([]uint32, error) {
	b, err := c.key(index)
	if err != nil {
		return nil, err
	}
	if le.U32(b, keySubkeys) == 0 {
		return nil, nil
	}
	return c.index(le.U32(b, keySubkeyList), true)
}

// index reads a CM_KEY_INDEX; one that lists others goes one level down.
func (c *cells) index(index uint32, root bool) ([]uint32, error) {
	b, err := c.cell(index)
	if err != nil {
		return nil, err
	}
	kind, n, step := le.U16(b, 0), int(le.U16(b, 2)), 4
	switch {
	case kind == indexFast || kind == indexHash:
		step = 8
	case kind != indexLeaf && (kind != indexRoot || !root):
		return nil, fmt.Errorf("hive at %v: cell 0x%x is no list of keys", c.hive, index)
	}
	var list []uint32
	for at := 4; at+step <= len(b) && n > 0 && len(list) < maxSubkeys; at, n = at+step, n-1 {
		if kind != indexRoot {
			list = append(list, le.U32(b, at))
			continue
		}
		below, errBelow := c.index(le.U32(b, at), false)
		err = firstError(err, errBelow)
		list = append(list, below...)
	}
	if n > 0 {
		err = firstError(err, fmt.Errorf("hive at %v: list of keys 0x%x: %d entries are missing, or too many", c.hive, index, n))
	}
	return list, err
}

// value is the data of a registry value.
type value struct {
	kind uint32
	data []byte
}

const (
	regString, regExpand, regDword = 1, 2, 4 // REG_SZ, REG_EXPAND_SZ, REG_DWORD
)

// number is a REG_DWORD; nil if the value is none.
func (v value) number() *uint32 {
	if v.kind != regDword || len(v.data) < 4 {
		return nil
	}
	n := le.U32(v.data, 0)
	return &n
}

// text is a REG_SZ or REG_EXPAND_SZ; "" if the value is none.
func (v value) text() string {
	if v.kind != regString && v.kind != regExpand {
		return ""
	}
	return strings.TrimRight(win.UTF16(v.data), "\x00")
}

// values are the values of a key by their names in lower case, as far as they can be
// read.
func (c *cells) values(key uint32) map[string]value {
	all := map[string]value{}
	b, err := c.key(key)
	if err != nil {
		return all
	}
	n := int(min(le.U32(b, keyValues), maxKeyValue))
	if n == 0 || le.U32(b, keyValueList) == noCell {
		return all
	}
	list, err := c.cell(le.U32(b, keyValueList))
	if err != nil {
		return all
	}
	for i := 0; i < n && 4*i+4 <= len(list); i++ {
		if name, v, ok := c.value(le.U32(list, 4*i)); ok {
			all[strings.ToLower(name)] = v
		}
	}
	return all
}

// value reads a CM_KEY_VALUE and its data.
func (c *cells) value(index uint32) (name string, v value, ok bool) {
	b, err := c.cell(index)
	if err != nil || len(b) < valueName || le.U16(b, 0) != valueSignature {
		return "", v, false
	}
	name = registryName(b[valueName:], int(le.U16(b, 2)), b[valueFlags]&1 != 0)
	v.kind = le.U32(b, valueType)
	length := le.U32(b, 4)
	if length&valueInline != 0 {
		v.data = b[valueData : valueData+min(int(length&^uint32(valueInline)), 4)]
		return name, v, true
	}
	if length > maxText16 { // no path and no name is so long
		return name, v, true
	}
	data, err := c.cell(le.U32(b, valueData))
	v.data = data[:min(int(length), len(data))]
	return name, v, err == nil
}
