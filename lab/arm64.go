package lab

// ARM64 is the register set of ARM64.
type ARM64 struct {
	X              [29]uint64 // x0 to x28
	Fp, Lr, Sp, Pc uint64
	Cpsr           uint32
}

func (r ARM64) machine() machine { return machineARM64 }
func (r ARM64) pc() uint64       { return r.Pc }

// Context returns the 0x390 bytes of CONTEXT: winnt.h, ARM64_NT_CONTEXT. Control,
// integer and floating point are marked valid.
func (r ARM64) Context() []byte {
	var w buf
	w.grow(0x390)
	w.put32s(0, 0x400007, r.Cpsr)
	w.put64s(8, r.X[:]...)
	w.put64s(0xf0, r.Fp, r.Lr, r.Sp, r.Pc)
	return w.b
}

// TrapFrame returns the 0x150 bytes of KTRAP_FRAME: ntddk.h of the WDK for ARM64. It
// holds x0 to x18 only; ErrorCode is Esr.
func (r ARM64) TrapFrame(t Trap) []byte {
	var w buf
	w.grow(0x150)
	w.put8(0, 1) // ExceptionActive: an exception's frame
	w.put8(3, t.PreviousIRQL)
	w.put64(8, t.FaultAddress)
	w.put32s(0x90, r.Cpsr, uint32(t.ErrorCode))
	w.put64(0x98, r.Sp)
	w.put64s(0xa0, r.X[:19]...)
	w.put64s(0x138, r.Lr, r.Fp, r.Pc)
	return w.b
}

// frames: at the low end of each a frame record, the caller's frame pointer and the return
// address, then harmless words.
func (ARM64) frames(sp, end uint64, calls []call) []Block {
	var out []Block
	for i, c := range calls {
		next := sp + c.size
		if i == len(calls)-1 {
			next = end
		}
		out = append(out, Words(sp, next, c.returns), Words(sp+16, locals(sp+16, c.size/8-2)...))
		sp += c.size
	}
	return out
}

// atFault: lr still holds the address that the faulting function's caller was to go on at.
func (ARM64) atFault(sp uint64, s shape) Registers {
	r := ARM64{Pc: s.fault, Sp: sp, Fp: sp, Lr: s.fault + 0x20, Cpsr: 0x60000204}
	r.X[8], r.X[9], r.X[19], r.X[20] = 0x5a5a5a5a, ioctlMyfault, s.pointer, 0xffffb30c46190de0
	return r
}

func (ARM64) fromUser() Registers {
	return ARM64{Pc: 0x7ffd5a2a0a84, Sp: 0x3e0d5fe8f0, Fp: 0x3e0d5fe8f0, Lr: 0x7ffd57b1f10b, Cpsr: 0x60000000}
}

// trapSize: the frame and the red zone below the stack pointer of what trapped.
func (ARM64) trapSize(bool) uint64         { return 0x150 + 0x10 }
func (ARM64) chain(trap, sp uint64) uint64 { return sp }

// bugCheck: a frame record of KeBugCheckEx itself; real dumps have sp and fp there and lr 0.
func (ARM64) bugCheck(pc, frame, caller uint64, code uint32, p [4]uint64, fault Registers) (Registers, Block) {
	r := fault.(ARM64)
	sp := frame - 0x20
	r.Pc, r.Sp, r.Fp, r.Lr, r.Cpsr = pc+0x14, sp, sp, 0, 0x600002c4
	copy(r.X[:], []uint64{uint64(code), p[0], p[1], p[2], p[3]})
	return r, Words(sp, frame, caller, 0, 0)
}
