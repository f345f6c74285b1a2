package kernel

import (
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// CPPException is what a C++ exception says of itself, as far as its structures
// are in the dump.
type CPPException struct {
	Types []string // type_info names, the thrown type first: .?AVruntime_error@std@@
	What  string   // the message of a std::exception
}

// Limits on a throw information: catch lists hold the type and its bases.
const (
	maxCatchable = 32
	maxTypeName  = 512
	maxWhat      = 1024
)

// cppMagic are the numbers that the compiler's throw passes first (ehdata.h of
// the Visual C++ runtime sources: EH_MAGIC_NUMBER1 to 3, EH_PURE_MAGIC_NUMBER1).
func cppMagic(v uint64) bool {
	return v == 0x19930520 || v == 0x19930521 || v == 0x19930522 || v == 0x01994000
}

// CPPException follows the parameters of exception 0xe06d7363: magic number,
// object, ThrowInfo, and on 64-bit machines the image that ThrowInfo's addresses
// count from. Layout: ThrowInfo, CatchableTypeArray, CatchableType and
// TypeDescriptor of ehdata.h; LLVM's MicrosoftCXXABI writes the same. False if
// these are not the parameters of a throw.
func (m *Machine) CPPException(parameters []uint64) (CPPException, bool) {
	if len(parameters) < 3 || !cppMagic(parameters[0]) {
		return CPPException{}, false
	}
	var x CPPException
	object, throw, image := mem.VA(parameters[1]), mem.VA(parameters[2]), mem.VA(0)
	if m.Arch != dump.X86 {
		if len(parameters) < 4 {
			return x, true
		}
		image = mem.VA(parameters[3])
	}
	at := func(va mem.VA) mem.VA { // an address of 32 bits, from the image on 64-bit machines
		v, err := mem.ReadU32(m.Memory, va)
		if err != nil || v == 0 {
			return 0
		}
		return image + mem.VA(v)
	}
	list := at(throw + 0xc)
	count, err := mem.ReadU32(m.Memory, list)
	if throw == 0 || list == 0 || err != nil {
		return x, true
	}
	name := mem.VA(2 * m.Arch.PointerSize())
	for i := range mem.VA(min(count, maxCatchable)) {
		if descriptor := at(at(list+4+4*i) + 4); descriptor != 0 {
			if s := m.StringAt(descriptor+name, maxTypeName); s != "" {
				x.Types = append(x.Types, win.Clean(s))
			}
		}
	}
	for _, t := range x.Types {
		if t == ".?AVexception@std@@" {
			x.What = m.whatOf(object)
		}
	}
	return x, true
}

// whatOf reads the message of a std::exception: behind the table of virtual
// functions stands a pointer to it (vcruntime_exception.h, __std_exception_data).
func (m *Machine) whatOf(object mem.VA) string {
	text, err := m.pointer(object + mem.VA(m.Arch.PointerSize()))
	if err != nil || text == 0 {
		return ""
	}
	return win.Clean(m.StringAt(text, maxWhat))
}

// StowedException is the first of the errors that the Windows Runtime had kept
// back when it ended the program.
type StowedException struct {
	Count   uint64
	HResult uint32
	Text    string
}

// Signatures of STOWED_EXCEPTION_INFORMATION_HEADER: 'SE01', 'SE02'.
const (
	stowedV1 = 0x53453031
	stowedV2 = 0x53453032
)

// StowedException follows the parameters of exception 0xc000027b: an array of
// pointers and its length. Layout: STOWED_EXCEPTION_INFORMATION_V2 in the Windows
// Error Reporting documentation. False if the memory is not in the dump.
func (m *Machine) StowedException(parameters []uint64) (StowedException, bool) {
	if len(parameters) < 2 {
		return StowedException{}, false
	}
	s := StowedException{Count: parameters[1]}
	first, err := m.pointer(mem.VA(parameters[0]))
	if err != nil {
		return s, false
	}
	b, err := mem.Read(m.Memory, first, 0x10)
	if err != nil || le.U32(b, 4) != stowedV1 && le.U32(b, 4) != stowedV2 {
		return s, false
	}
	s.HResult = le.U32(b, 8)
	if le.U32(b, 0xc)&3 == 2 { // ExceptionForm: a text
		if text, err := m.pointer(first + 0x10); err == nil {
			buf := make([]byte, maxWhat)
			n, _ := m.Memory.ReadAt(buf, text)
			s.Text = win.UTF16(buf[:n&^1])
		}
	}
	return s, true
}

// heapFailures are the first members of HEAP_FAILURE_TYPE of ntdll's public
// symbols; behind them the numbers changed with Windows 10.
var heapFailures = []string{
	"internal", "unknown", "generic", "entry_corruption", "multiple_entries_corruption", "virtual_block_corruption",
	"buffer_overrun", "buffer_underrun", "block_not_busy", "invalid_argument",
}

// HeapFailure follows the parameter of exception 0xc0000374 to ntdll's
// HEAP_FAILURE_INFORMATION (public symbols of ntdll: version, size, type), and
// names the failure; "" if it is not in the dump or not one whose number has
// stayed the same.
func (m *Machine) HeapFailure(parameters []uint64) string {
	if len(parameters) < 1 {
		return ""
	}
	b, err := mem.Read(m.Memory, mem.VA(parameters[0]), 0xc)
	if err != nil || le.U32(b, 0) > 16 {
		return ""
	}
	if kind := le.U32(b, 8); kind > 1 && kind < uint32(len(heapFailures)) {
		return heapFailures[kind]
	}
	return ""
}

// Code reads up to n bytes of code at pc; fewer where the dump ends.
func (m *Machine) Code(pc mem.VA, n int) []byte {
	b := make([]byte, n)
	got, _ := m.Memory.ReadAt(b, pc)
	return b[:got]
}

// Repeated is a return address that stands on a stack many times.
type Repeated struct {
	Frame report.Frame
	Count int
}

// MostRepeated finds the caller that the frames hold most often.
func MostRepeated(frames []report.Frame) Repeated {
	count := map[report.Hex]int{}
	var most Repeated
	for _, f := range frames {
		if count[f.Address]++; count[f.Address] > most.Count {
			most = Repeated{Frame: f, Count: count[f.Address]}
		}
	}
	return most
}
