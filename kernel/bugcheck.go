package kernel

import (
	"fmt"

	"bugcheck/mem"
	"bugcheck/report"
)

// BugCheckData is the stop code and its parameters, as the kernel keeps them in
// KiBugCheckData, five words.
type BugCheckData struct {
	Code       uint32
	Parameters [4]uint64
}

// BugCheckData reads KiBugCheckData; it is all zero in a machine that did not
// crash.
func (m *Machine) BugCheckData() (BugCheckData, error) {
	at, width := m.variable(kdbgBugCheckData), m.Arch.PointerSize()
	var d BugCheckData
	if at == 0 {
		return d, fmt.Errorf("KiBugCheckData: its address is not known")
	}
	b, err := mem.Read(m.Memory, at, 5*width)
	if err != nil {
		return d, fmt.Errorf("KiBugCheckData: %w", err)
	}
	o := m.object(b)
	d.Code = uint32(o.pointer(0))
	for i := range d.Parameters {
		d.Parameters[i] = uint64(o.pointer((i + 1) * width))
	}
	return d, nil
}

// unsetCode is what Windows fills a dump header with before it writes fields:
// 'PAGE'.
const unsetCode = 0x45474150

// checkBugCheck compares the header with KiBugCheckData, and takes the latter where
// the header holds no stop code.
func (m *Machine) checkBugCheck() {
	d, err := m.BugCheckData()
	if err != nil || d.Code == 0 {
		return
	}
	h := &m.Header
	switch {
	case h.BugCheckCode == 0 || h.BugCheckCode == unsetCode:
		h.BugCheckCode, h.Parameters = d.Code, d.Parameters
		m.note("header", report.T("It holds no stop code; KiBugCheckData in memory does."))
	case h.BugCheckCode != d.Code || h.Parameters != d.Parameters:
		m.note("header", report.T("KiBugCheckData in memory holds another stop code: 0x%x with 0x%x, 0x%x, 0x%x, 0x%x.",
			d.Code, d.Parameters[0], d.Parameters[1], d.Parameters[2], d.Parameters[3]))
	}
}

// readBrokenDriver reads the name in KiBugCheckDriver, a pointer to a
// UNICODE_STRING: the driver that Windows itself names on the blue screen. Only the
// kernel's symbols know where that stands.
func (m *Machine) readBrokenDriver() {
	at, ok := m.Variable("KiBugCheckDriver")
	if !ok || !m.whole() {
		return
	}
	text, err := m.pointer(at)
	if err != nil || text == 0 {
		return
	}
	if name := fileName(m.unicodeString(text)); name != "." {
		m.Blocks.BrokenDriver = name
	}
}
