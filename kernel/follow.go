package kernel

import (
	"fmt"
	"strings"
	"unicode"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// What a lone pointer leads to, such as a parameter of a stop code. Layouts, 64-bit
// (dt nt!_OBJECT_HEADER, _OBJECT_TYPE, _IO_WORKITEM in the public symbols of three
// builds from 17763 to 19041): see also irp.go and namespace.go.
const (
	headerPointerCount = 0x0
	headerHandleCount  = 0x8
	typeName           = 0x10 // OBJECT_TYPE.Name, behind TypeList
	workItemRoutine    = 0x20 // IO_WORKITEM.Routine, behind WORK_QUEUE_ITEM
	workItemObject     = 0x28 // IO_WORKITEM.IoObject: a device or driver object

	maxPointedText = 512   // bytes: names of drivers, files and keys
	maxCallers     = 0x100 // bytes: more than any record of a few return addresses
)

// TextAt reads the words that a pointer leads to: a UNICODE_STRING, or UTF-16 or
// ASCII that ends with a zero; "" where there is nothing that a person could read.
func (m *Machine) TextAt(va mem.VA) string {
	b := m.readUpTo(va, maxPointedText)
	if s := m.countedText(b); s != "" {
		return s
	}
	if s, ended := untilZero(b, 1); ended && len(s) >= 2 && readable(string(s)) {
		return string(s)
	}
	if s, ended := untilZero(b, 2); ended && len(s) >= 4 && readable(win.UTF16(s)) && mostlyASCII(win.UTF16(s)) {
		return win.UTF16(s)
	}
	return ""
}

// countedText reads the text of the UNICODE_STRING that b begins with.
func (m *Machine) countedText(b []byte) string {
	if len(b) < 2*m.Arch.PointerSize() {
		return ""
	}
	n, most := int(le.U16(b, 0)), int(le.U16(b, 2))
	if n == 0 || n%2 != 0 || n > most || n > maxPointedText {
		return ""
	}
	if s := m.unicodeStringOf(m.Memory, b, n); readable(s) {
		return s
	}
	return ""
}

// untilZero is the text before the first zero character of so many bytes.
func untilZero(b []byte, width int) (text []byte, ended bool) {
	for i := 0; i+width <= len(b); i += width {
		if b[i] == 0 && b[i+width-1] == 0 {
			return b[:i], true
		}
	}
	return nil, false
}

// mostlyASCII tells a name from bytes that happen to be letters of some script.
func mostlyASCII(s string) bool {
	ascii, all := 0, 0
	for _, r := range s {
		if all++; r < unicode.MaxASCII {
			ascii++
		}
	}
	return 2*ascii > all
}

func readable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}

// ObjectCounts reads how many references and how many open handles the object
// manager counts for an object.
func (m *Machine) ObjectCounts(object mem.VA) (pointers, handles int64, err error) {
	if m.Arch == dump.X86 {
		return 0, 0, fmt.Errorf("object at %v: 32-bit object headers are not decoded", object)
	}
	b, err := mem.Read(m.Memory, object-headerBody, headerHandleCount+8)
	if err != nil {
		return 0, 0, fmt.Errorf("object header of %v: %w", object, err)
	}
	return int64(le.U64(b, headerPointerCount)), int64(le.U64(b, headerHandleCount)), nil
}

// TypeName reads the name of an OBJECT_TYPE, such as File; "" if it is not there.
func (m *Machine) TypeName(va mem.VA) string {
	if m.Arch == dump.X86 {
		return ""
	}
	return m.countedText(m.readUpTo(va+typeName, 2*m.Arch.PointerSize()))
}

// WorkItem reads the routine that an IO_WORKITEM calls and the image of the driver
// whose device or driver object it was made for; false if it is none.
func (m *Machine) WorkItem(va mem.VA) (routine Routine, driver string, ok bool) {
	if m.Arch == dump.X86 {
		return Routine{}, "", false
	}
	b, err := mem.Read(m.Memory, va, workItemObject+8)
	if err != nil {
		return Routine{}, "", false
	}
	object := mem.VA(le.U64(b, workItemObject))
	if driver, err = m.deviceDriver(object); err != nil {
		d, err := m.driverObject(object, 0)
		if driver = d.Image; err != nil && driver == "" {
			return Routine{}, "", false
		}
	}
	return m.routine(mem.VA(le.U64(b, workItemRoutine))), driver, true
}

// CallersIn lists the addresses of code in the record at va, in their order: records
// of the kernel that keep track of something hold the return addresses of who asked
// for it.
func (m *Machine) CallersIn(va mem.VA) []mem.VA {
	b := m.readUpTo(va, maxCallers)
	var list []mem.VA
	width := m.Arch.PointerSize()
	for i := 0; i+width <= len(b); i += width {
		at := mem.VA(*field64(b, i, m.Arch))
		if m.mayReturnTo(at) {
			list = append(list, at)
		}
	}
	return list
}
