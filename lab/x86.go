package lab

// X86 is the register set of x86.
type X86 struct {
	Eax, Ebx, Ecx, Edx, Esi, Edi, Ebp, Esp, Eip, EFlags uint32
	User                                                bool // user-mode segments: cs 1b, ss 23
}

func (r X86) machine() machine { return machineX86 }
func (r X86) pc() uint64       { return uint64(r.Eip) }

// dataSelector is ds and es of x86 Windows, in the kernel too.
const dataSelector = 0x23

// selectors returns cs, fs and ss.
func (r X86) selectors() (cs, fs, ss uint32) {
	if r.User {
		return 0x1b, 0x3b, 0x23
	}
	return 0x08, 0x30, 0x10
}

// Context returns the 0x2cc bytes of CONTEXT: winnt.h for x86. Control, integer and
// segments are marked valid.
func (r X86) Context() []byte {
	var w buf
	w.grow(0x2cc)
	cs, fs, ss := r.selectors()
	w.put32(0, 0x10007)
	w.put32s(0x8c, 0, fs, dataSelector, dataSelector, r.Edi, r.Esi, r.Ebx, r.Edx, r.Ecx, r.Eax, r.Ebp, r.Eip, cs, r.EFlags, r.Esp, ss)
	return w.b
}

// TrapFrame returns the KTRAP_FRAME: dt nt!_KTRAP_FRAME on 17763 x86. From user mode it has
// 0x8c bytes; from kernel mode the processor pushes neither esp nor ss, so that the frame
// ends after 0x74 bytes, at HardwareEsp, where the stack of the code that trapped begins.
// The address of a page fault stays in cr2 and is not in the frame.
func (r X86) TrapFrame(t Trap) []byte {
	var w buf
	w.grow(0x74)
	cs, fs, ss := r.selectors()
	w.put32s(0, r.Ebp, r.Eip, 0xbadb0d00) // DbgEbp, DbgEip, DbgArgMark
	w.put32s(0x30, dataSelector, dataSelector, r.Edx, r.Ecx, r.Eax)
	w.put8(0x47, t.PreviousIRQL)
	w.put32s(0x50, fs, r.Edi, r.Esi, r.Ebx, r.Ebp, uint32(t.ErrorCode), r.Eip, cs, r.EFlags)
	if r.User {
		w.put32s(0x74, r.Esp, ss)
		w.grow(0x8c)
	}
	return w.b
}

// frames: the chain of saved ebp starts at sp: at each ebp the caller's, then the return
// address, then the caller's own words.
func (X86) frames(sp, end uint64, calls []call) []Block {
	var out []Block
	for i, c := range calls {
		next := sp + c.size
		if i == len(calls)-1 {
			next = end
		}
		out = append(out, Words32(sp, uint32(next), uint32(c.returns), 0x9b2d0040, ioctlMyfault, 0))
		sp += c.size
	}
	return out
}

// belowEbp is the room that the faulting function keeps for its own words.
const belowEbp = 0x10

func (X86) atFault(sp uint64, s shape) Registers {
	return X86{Eip: uint32(s.fault), Ebp: uint32(sp), Esp: uint32(sp - belowEbp), Ebx: uint32(s.pointer),
		Eax: 0x5a5a5a5a, EFlags: 0x10202}
}

func (X86) fromUser() Registers {
	return X86{Eip: 0x77a51c0c, Esp: 0x0019f6d8, Ebp: 0x0019f740, EFlags: 0x246, User: true}
}

// trapSize: a trap from kernel mode pushes neither esp nor ss.
func (X86) trapSize(user bool) uint64 {
	if user {
		return 0x8c
	}
	return 0x74 + belowEbp
}

// chain: the trap frame itself is the next link, of DbgEbp and DbgEip.
func (X86) chain(trap, sp uint64) uint64 { return trap }

// bugCheck: return address, code and parameters, pushed below some words of the caller.
func (X86) bugCheck(pc, frame, caller uint64, code uint32, p [4]uint64, fault Registers) (Registers, Block) {
	r := fault.(X86)
	sp := frame - 0x40
	r.Eip, r.Esp, r.Ebp, r.EFlags = uint32(pc), uint32(sp), uint32(frame), 0x286
	return r, Words32(sp, uint32(caller), code, uint32(p[0]), uint32(p[1]), uint32(p[2]), uint32(p[3]))
}
