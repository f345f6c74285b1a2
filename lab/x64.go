package lab

// X64 is the register set of x64. The zero value of EFlags is written as is.
type X64 struct {
	Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip                                    uint64
	EFlags                                 uint32
	User                                   bool // user-mode segments: cs 33, ss 2b
}

func (r X64) machine() machine { return machineX64 }
func (r X64) pc() uint64       { return r.Rip }

// selectors returns cs and ss.
func (r X64) selectors() (cs, ss uint16) {
	if r.User {
		return 0x33, 0x2b
	}
	return 0x10, 0x18
}

const mxcsr = 0x1f80 // the processor's and Windows's own initial value

// Context returns the 0x4d0 bytes of CONTEXT: winnt.h for x64. Control, integer,
// segments and floating point are marked valid.
func (r X64) Context() []byte {
	var w buf
	w.grow(0x4d0)
	w.put32(0x30, 0x10000f)
	w.put32(0x34, mxcsr)
	cs, ss := r.selectors()
	for i, v := range []uint16{cs, 0x2b, 0x2b, 0x53, 0x2b, ss} {
		w.put16(0x38+2*i, v)
	}
	w.put32(0x44, r.EFlags)
	w.put64s(0x78, r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip)
	w.put16(0x100, 0x27f) // FltSave.ControlWord
	w.put32(0x118, mxcsr)
	w.put32(0x11c, 0xffff) // FltSave.MxCsr_Mask
	return w.b
}

// TrapFrame returns the 0x190 bytes of KTRAP_FRAME: dt nt!_KTRAP_FRAME, the same
// since 7601. From user mode it holds rbx, rdi and rsi too; from kernel mode
// Windows does not save them there (but in the KEXCEPTION_FRAME), and they are 0.
func (r X64) TrapFrame(t Trap) []byte {
	var w buf
	w.grow(0x190)
	w.put8(0x29, t.PreviousIRQL)
	w.put8(0x2b, 1) // ExceptionActive
	w.put32(0x2c, mxcsr)
	w.put64s(0x30, r.Rax, r.Rcx, r.Rdx, r.R8, r.R9, r.R10, r.R11)
	w.put64(0xd0, t.FaultAddress)
	if r.User {
		w.put8(0x28, 1) // PreviousMode
		w.put8(0x2b, 2) // a system service's frame
		w.put64s(0x140, r.Rbx, r.Rdi, r.Rsi)
	}
	w.put64s(0x158, r.Rbp, t.ErrorCode, r.Rip)
	cs, ss := r.selectors()
	w.put64s(0x170, uint64(cs), uint64(r.EFlags), r.Rsp, uint64(ss))
	return w.b
}

// ExceptionFrame returns the 0x138 bytes of KEXCEPTION_FRAME before its return address:
// the registers that a called function must keep. dt nt!_KEXCEPTION_FRAME on 19041.
func (r X64) ExceptionFrame() []byte {
	var w buf
	w.grow(0x138)
	w.put64s(0xf8, r.Rbp, r.Rbx, r.Rdi, r.Rsi, r.R12, r.R13, r.R14, r.R15)
	return w.b
}

// Record64 returns the 0x98 bytes of EXCEPTION_RECORD64: winnt.h, x64 and ARM64.
func (e Exception) Record64() []byte {
	var w buf
	w.grow(0x98)
	w.put32s(0, e.Code, e.Flags)
	w.put64(0x10, e.Address)
	w.put32(0x18, uint32(len(e.Parameters)))
	w.put64s(0x20, e.Parameters[:min(len(e.Parameters), 15)]...)
	return w.b
}

// frames: 32 bytes of home space that the called functions may use, harmless words, and at
// the frame's end the return address.
func (X64) frames(sp, _ uint64, calls []call) []Block {
	var out []Block
	for _, c := range calls {
		out = append(out, Words(sp, locals(sp, c.size/8-1)...), Words(sp+c.size-8, c.returns))
		sp += c.size
	}
	return out
}

func (X64) atFault(sp uint64, s shape) Registers {
	return X64{Rip: s.fault, Rsp: sp, Rax: 0x5a5a5a5a, Rcx: 2, Rdx: ioctlMyfault, Rbx: s.pointer, Rbp: sp + 0x30,
		Rsi: 0xffffb30c45c0fb80, Rdi: 0xffffb30c46190de0, R8: 1, R9: 0x10, R14: 0xffffb30c47a1d3e0, EFlags: 0x50202}
}

func (X64) fromUser() Registers {
	return X64{Rip: 0x7ffd5a2a0a84, Rsp: 0x3e0d5fe8f8, Rbp: 0x3e0d5feab0, Rbx: 0x1c4, Rdi: ioctlMyfault,
		R10: 0x1c4, EFlags: 0x246, User: true}
}

func (X64) trapSize(bool) uint64         { return 0x190 }
func (X64) chain(trap, sp uint64) uint64 { return 0 }

// bugCheck: the return address, the home of the code and three parameters, and the fourth
// parameter, which its caller's frame holds.
func (X64) bugCheck(pc, frame, caller uint64, code uint32, p [4]uint64, fault Registers) (Registers, Block) {
	r := fault.(X64) // the registers that every function keeps are still those of the fault
	r.Rip, r.Rsp, r.EFlags = pc, frame-8, 0x40286
	r.Rax, r.Rcx, r.Rdx, r.R8, r.R9, r.R10 = frame+0xb8, uint64(code), p[0], p[1], p[2], p[3]
	return r, Words(frame-8, caller, uint64(code), p[0], p[1], p[2], p[3])
}
