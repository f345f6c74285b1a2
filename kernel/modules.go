package kernel

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/win"
)

// Limits on the lists of modules: machines have some 200 drivers, programs some
// hundred modules.
const (
	maxModules     = 4096
	maxImage       = 1 << 30 // bytes
	maxUnloaded    = 50      // MI_UNLOADED_DRIVERS: the array's length
	unloadedSize64 = 0x28
	unloadedSize32 = 0x18
)

// loaderLayout says where an entry of a list of modules holds what, bytes from its
// LIST_ENTRY, which stands first.
type loaderLayout struct {
	size, base, entry, imageSize, fullName, baseName int
	exceptionTable, exceptionSize, checksum, flags   int // the kernel's list alone
	timestamp                                        int // from Windows 8 on
}

// dt nt!_KLDR_DATA_TABLE_ENTRY: the same from 7601 to 26100 in what is read; a
// program's _LDR_DATA_TABLE_ENTRY has the fields of the first line at the same
// places.
var (
	loader64 = loaderLayout{
		size: 0xa0, base: 0x30, entry: 0x38, imageSize: 0x40, fullName: 0x48, baseName: 0x58,
		exceptionTable: 0x10, exceptionSize: 0x18, checksum: 0x78, flags: 0x68, timestamp: 0x9c,
	}
	loader32 = loaderLayout{
		size: 0x50, base: 0x18, entry: 0x1c, imageSize: 0x20, fullName: 0x24, baseName: 0x2c,
		exceptionTable: 0x8, exceptionSize: 0xc, checksum: 0x40, flags: 0x34, timestamp: -1,
	}
)

func (m *Machine) loader() loaderLayout {
	if m.Arch == dump.X86 {
		return loader32
	}
	return loader64
}

// readModules lists the drivers of PsLoadedModuleList, the kernel first. What is
// missing is noted.
func (m *Machine) readModules() {
	drivers, err := m.loaderList(m.Memory, m.Header.LoadedModules)
	m.noteError("loaded modules", err)
	m.torn = err != nil
	if m.kernelBase == 0 && len(drivers) > 0 {
		m.kernelBase = drivers[0].Base
	}
	i := slices.IndexFunc(drivers, func(d dump.Driver) bool { return d.Base == m.kernelBase })
	if i < 0 && m.kernelBase != 0 {
		if d, ok := m.unlisted(m.kernelBase, "ntoskrnl.exe"); ok {
			drivers, i = append(drivers, d), len(drivers)
			m.note("loaded modules", report.T("The kernel is not in the list; its image was found at %s.", d.Base.String()))
		}
	}
	if i > 0 {
		nt := drivers[i]
		drivers = slices.Insert(slices.Delete(drivers, i, i+1), 0, nt)
	}
	m.Drivers = drivers
	for i := range m.Drivers {
		m.images = append(m.images, m.identify(m.Memory, &m.Drivers[i]))
	}
}

// loaderList lists the modules of a list of the loader's, the kernel's or a
// program's. What was read is returned beside the error.
func (m *Machine) loaderList(memory mem.Reader, head mem.VA) ([]dump.Driver, error) {
	entries, err := m.ring(memory, head, maxModules)
	if err != nil {
		err = fmt.Errorf("list at %v: %w", head, err)
	}
	var list []dump.Driver
	for i, va := range entries {
		d, bad := m.loaderEntry(memory, va)
		if bad != nil {
			if err == nil {
				err = fmt.Errorf("entry %d at %v: %w", i, va, bad)
			}
			continue
		}
		list = append(list, d)
	}
	return list, err
}

// loaderEntry reads one entry. A module whose name is not there has its base for
// one.
func (m *Machine) loaderEntry(memory mem.Reader, va mem.VA) (dump.Driver, error) {
	l := m.loader()
	b, err := mem.Read(memory, va, l.size)
	if err != nil {
		return dump.Driver{}, err
	}
	o := object{b, m.Arch}
	d := dump.Driver{
		Base: o.pointer(l.base), Size: uint64(o.u32(l.imageSize)), EntryPoint: o.pointer(l.entry),
		ExceptionTable: o.pointer(l.exceptionTable), ExceptionSize: o.u32(l.exceptionSize),
		Checksum: o.u32(l.checksum), Timestamp: o.u32(l.timestamp), Verified: dump.Verifying(o.u32(l.flags)),
	}
	if d.Base == 0 || d.Base%mem.PageSize != 0 || d.Size == 0 || d.Size > maxImage || d.End() < d.Base {
		return d, fmt.Errorf("an image of %d bytes at %v cannot be", d.Size, d.Base)
	}
	d.Path = m.unicodeStringOf(memory, b[l.fullName:], maxPath)
	if d.Name = m.unicodeStringOf(memory, b[l.baseName:], maxPath); !isName(d.Name) {
		d.Name = d.Path[strings.LastIndexByte(d.Path, '\\')+1:]
	}
	if !isName(d.Name) {
		d.Name = fmt.Sprintf("image_%x", uint64(d.Base))
	}
	return d, nil
}

// isName reports that a text may be a file's name: some bytes of memory are no text
// (win.UTF16 makes such characters U+FFFD).
func isName(s string) bool { return s != "" && !strings.ContainsRune(s, unicode.ReplacementChar) }

// identify takes from the headers of an image in memory what the list does not
// hold, and returns the image; nil if its headers are not there.
func (m *Machine) identify(memory mem.Reader, d *dump.Driver) *pe.File {
	image := openImage(memory, d.Base, int64(d.Size))
	if image == nil {
		return nil
	}
	h := image.Header
	d.Timestamp, d.Checksum = h.Timestamp, h.Checksum
	if t := image.Directories[pe.ExceptionDirectory]; t.RVA != 0 {
		d.ExceptionTable, d.ExceptionSize = d.Base+mem.VA(t.RVA), t.Size
	}
	if d.EntryPoint == 0 && h.EntryPoint != 0 {
		d.EntryPoint = d.Base + mem.VA(h.EntryPoint)
	}
	return image
}

// unlisted is a driver that no list names, by its image alone.
func (m *Machine) unlisted(base mem.VA, name string) (dump.Driver, bool) {
	image := openImage(m.Memory, base, kernelReach)
	if image == nil || image.Header.SizeOfImage == 0 {
		return dump.Driver{}, false
	}
	return dump.Driver{Name: name, Base: base, Size: uint64(image.Header.SizeOfImage)}, true
}

// readUnloaded lists the drivers that left, newest first: MmUnloadedDrivers points
// to an array that is filled in turn, MmLastUnloadedDriver is the place of the
// next. The entries hold UNICODE_STRING Name, StartAddress, EndAddress and
// CurrentTime (Volatility 3, windows.unloadedmodules).
func (m *Machine) readUnloaded() {
	at := m.variable(kdbgUnloadedDrivers)
	if at == 0 {
		return
	}
	array, err := m.pointer(at)
	if err != nil || array == 0 {
		m.noteError("unloaded modules", err)
		return
	}
	last, err := mem.ReadU32(m.Memory, m.variable(kdbgLastUnloadedDriver))
	if err != nil || last > maxUnloaded {
		m.note("unloaded modules", report.T("Which of them was the last is not known: their order may be wrong."))
		last = 0
	}
	size := unloadedSize64
	if m.Arch == dump.X86 {
		size = unloadedSize32
	}
	b := make([]byte, maxUnloaded*size)
	n, err := m.Memory.ReadAt(b, array)
	m.noteError("unloaded modules", err)
	for i := range maxUnloaded {
		at := (int(last) + maxUnloaded - 1 - i) % maxUnloaded * size
		if at+size <= n {
			m.addUnloaded(b[at : at+size])
		}
	}
}

func (m *Machine) addUnloaded(b []byte) {
	o, width := object{b, m.Arch}, m.Arch.PointerSize()
	u := dump.Unloaded{Start: o.pointer(2 * width), End: o.pointer(3 * width)}
	if u.Start == 0 || u.End <= u.Start {
		return
	}
	u.Name = m.unicodeStringOf(m.Memory, b, maxPath)
	m.Unloaded = append(m.Unloaded, u)
}

// maxPath is how much of a name or a path is read, bytes: four times MAX_PATH
// characters. Thousands of entries of a list may share one long text.
const maxPath = 2080

// unicodeStringOf reads the text of the UNICODE_STRING that b begins with, at most
// so many bytes of it; "" if it is not in the dump.
func (m *Machine) unicodeStringOf(memory mem.Reader, b []byte, most int) string {
	width := m.Arch.PointerSize()
	if len(b) < 2*width {
		return ""
	}
	text := make([]byte, min(int(le.U16(b, 0)), most))
	at := mem.VA(*field64(b, width, m.Arch))
	n, err := memory.ReadAt(text, at)
	if err != nil && n == 0 {
		return ""
	}
	return strings.TrimSpace(win.UTF16(text[:n]))
}
