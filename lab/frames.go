package lab

// call is one frame of an invented stack: the bytes from its stack pointer to the end of
// its return address, and the address it returns to.
type call struct {
	size    uint64
	returns uint64
}

// shape says what a crash leaves on the stack, from KeBugCheckEx up.
type shape struct {
	caller uint64 // where KeBugCheckEx returns to
	inner  []call // the frames from its caller to the trap handler
	outer  []call // the frames from the fault to the thread's beginning
	user   bool   // the thread came from user mode

	fault     uint64 // the faulting instruction
	pointer   uint64 // what it reads through: rbx, x19, ebx
	trap      Trap
	exception Exception

	// The frames of inner that hold the KEXCEPTION_FRAME (x64 only), the EXCEPTION_RECORD
	// and the CONTEXT; none: -1.
	saved, record, context int
}

const none = -1

// places is where crash put things.
type places struct {
	trap, record, context uint64
	registers             Registers // at the fault
}

// conventions is what a machine's code does with its stack.
type conventions interface {
	// frames returns the calls' frames from stack pointer sp up: each with its return
	// address where the machine keeps it. A chain of frame pointers ends with end.
	frames(sp, end uint64, calls []call) []Block
	// atFault returns the registers of a function whose frame starts at sp.
	atFault(sp uint64, s shape) Registers
	// fromUser returns the registers of a thread that calls NtDeviceIoControlFile.
	fromUser() Registers
	// trapSize returns the bytes from a trap frame to the frame of what trapped.
	trapSize(user bool) uint64
	// chain returns what the trap handler's frame pointer leads on to.
	chain(trap, sp uint64) uint64
	// bugCheck returns the registers of KeBugCheckEx at pc, called by a function whose frame
	// starts at frame, and the words that the call left below that frame.
	bugCheck(pc, frame, caller uint64, code uint32, p [4]uint64, fault Registers) (Registers, Block)
}

// Where a frame holds an EXCEPTION_RECORD or a CONTEXT, in bytes from its stack pointer: as
// KiExceptionDispatch and KiDispatchException do on 19041 x64.
const (
	recordIn  = 0x138
	contextIn = 0x30
)

// crash lays out the stack of a crash; keBugCheckEx completes it when the parameters are known.
func (d *Dump) crash(s shape) places {
	m := d.Registers
	top := d.initialStack(d.Stack.Base)
	if s.user {
		top -= m.trapSize(true)
		d.Thread.TrapFrame = top
		d.put(Block{top, m.fromUser().TrapFrame(Trap{})})
		top -= 0x70 // the call's arguments, copied: from a system call's frame on x64
	}
	sp := top - framesSize(s.outer)
	d.put(m.frames(sp, 0, s.outer)...)
	p := places{registers: m.atFault(sp, s), trap: sp - m.trapSize(false)}
	start := p.trap - framesSize(s.inner)
	d.put(m.frames(start, m.chain(p.trap, sp), s.inner)...)
	d.put(Block{p.trap, p.registers.TrapFrame(s.trap)})
	d.hold(&p, start, s)
	d.Stack.Address = start
	return p
}

// hold puts the KEXCEPTION_FRAME, the EXCEPTION_RECORD and the CONTEXT into their frames.
func (d *Dump) hold(p *places, frame uint64, s shape) {
	for i, c := range s.inner {
		if r, ok := p.registers.(X64); ok && i == s.saved {
			d.put(Block{frame, r.ExceptionFrame()})
		}
		if i == s.record {
			p.record = frame + recordIn
			d.put(Block{p.record, d.exceptionRecord(s.exception)})
		}
		if i == s.context {
			p.context = frame + contextIn
			d.put(Block{p.context, p.registers.Context()})
		}
		frame += c.size
	}
}

// keBugCheckEx completes a crash: the call of KeBugCheckEx with the code, and its registers
// in the header.
func (d *Dump) keBugCheckEx(s shape, p places, code uint32) {
	r, words := d.Registers.bugCheck(d.nt("KeBugCheckEx", 0), d.Stack.Address, s.caller, code, d.Parameters, p.registers)
	d.Registers = r
	d.Stack.Address = words.Address
	d.put(words)
}

// put adds blocks to the stack, over what stands there already.
func (d *Dump) put(b ...Block) { d.Stack.Contents = append(d.Stack.Contents, b...) }

func (d *Dump) exceptionRecord(e Exception) []byte {
	if d.Build.pointer() == 4 {
		return e.Record32()
	}
	return e.Record64()
}

func framesSize(calls []call) uint64 {
	n := uint64(0)
	for _, c := range calls {
		n += c.size
	}
	return n
}

// locals returns n words such as functions keep: counts, flags, pointers into the pool and
// into the stack itself, none of them into a driver.
func locals(sp, n uint64) []uint64 {
	w := make([]uint64, n)
	for i := range w {
		at := sp + 8*uint64(i)
		w[i] = [...]uint64{0, 0xffffb30c45000000 + at&0xffff0, ioctlMyfault, at + 0x40, 0, 1, 0xffffb30c46a2d080}[i%7]
	}
	return w
}
