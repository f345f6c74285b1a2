package unwind

import (
	"bugcheck/internal/le"
	"bugcheck/pe"

	"golang.org/x/arch/x86/x86asm"
)

// sim64 runs x64 code, or x86 code, whose registers have the same numbers.
type sim64 struct {
	o    *oracle
	word int64 // 8 or 4
}

func (*sim64) sp() int { return rsp }

func (x *sim64) entryState() state {
	s := state{word: x.word}
	for i := range 2 * x.word {
		s.regs[i] = value{entry, i}
	}
	s.regs[rsp] = value{onStack, 0}
	s.slots = []slot{{0, value{entry, retval}}}
	return s
}

// unknown64 has the instructions that x86asm does not know.
func unknown64(b []byte) int {
	has := func(code ...byte) bool {
		for i, c := range code {
			if i >= len(b) || b[i] != c {
				return false
			}
		}
		return true
	}
	switch {
	case has(0xf3, 0x0f, 0x1e, 0xfa): // endbr64
		return 4
	case has(0x0f, 0x01, 0xca), has(0x0f, 0x01, 0xcb): // clac, stac
		return 3
	}
	return 0
}

func reg64(a x86asm.Arg) (i int, size int64, ok bool) {
	r, ok := a.(x86asm.Reg)
	switch {
	case !ok:
		return 0, 0, false
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 8, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 4, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), 2, true
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 1, true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), 1, true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + 4, 1, true
	}
	return 0, 0, false
}

// address is where an operand lies, if that is on the stack.
func (s *state) address(m x86asm.Mem) (off int64, ok bool) {
	i, size, ok := reg64(m.Base)
	if !ok || size != s.word || m.Segment != 0 || m.Index != 0 || s.regs[i].kind != onStack {
		return 0, false
	}
	return s.regs[i].n + m.Disp, true
}

func (s *state) operand(a x86asm.Arg, size int64) value {
	switch a := a.(type) {
	case x86asm.Imm:
		return value{constant, int64(a)}
	case x86asm.Mem:
		if off, ok := s.address(a); ok && size == s.word {
			return s.load(off)
		}
	}
	if i, n, ok := reg64(a); ok && n == s.word {
		return s.regs[i]
	}
	return value{}
}

// set writes a register; the stack pointer is always somewhere on the stack.
func (s *state) set(i int, v value) {
	if i == rsp {
		if v.kind != onStack {
			v = value{onStack, dynamic}
		}
		s.regs[rsp] = v
		s.below(v.n)
		return
	}
	s.regs[i] = v
}

func (s *state) write(a x86asm.Arg, size int64, v value) {
	if i, n, ok := reg64(a); ok {
		if n < 4 || n < s.word && v.kind != constant {
			v = value{}
		}
		s.set(i, v)
		return
	}
	if m, ok := a.(x86asm.Mem); ok {
		if off, ok := s.address(m); ok {
			s.store(off, max(size, 1), v)
		}
	}
}

// readOnly has the instructions that do not write their first operand.
var readOnly = map[x86asm.Op]bool{
	x86asm.CMP: true, x86asm.TEST: true, x86asm.BT: true, x86asm.NOP: true, x86asm.UCOMISD: true, x86asm.UCOMISS: true,
	x86asm.COMISD: true, x86asm.COMISS: true, x86asm.PREFETCHT0: true, x86asm.PREFETCHNTA: true, x86asm.PREFETCHW: true,
	x86asm.PTEST: true, x86asm.OUT: true, x86asm.DIV: true, x86asm.IDIV: true, x86asm.MUL: true, x86asm.LGDT: true,
	x86asm.LIDT: true, x86asm.INVLPG: true, x86asm.FXRSTOR: true, x86asm.FXRSTOR64: true, x86asm.LDMXCSR: true,
	x86asm.XRSTOR: true, x86asm.XRSTOR64: true, x86asm.FLDCW: true, x86asm.CLFLUSH: true,
}

// clobbers has the registers that instructions write without naming them.
var clobbers = map[x86asm.Op][]int{
	x86asm.DIV: {rax, rdx}, x86asm.IDIV: {rax, rdx}, x86asm.MUL: {rax, rdx}, x86asm.CDQ: {rdx}, x86asm.CQO: {rdx},
	x86asm.CDQE: {rax}, x86asm.CWDE: {rax}, x86asm.CPUID: {rax, rbx, rcx, rdx}, x86asm.RDTSC: {rax, rdx}, x86asm.RDMSR: {rax, rdx},
	x86asm.CMPXCHG: {rax}, x86asm.CMPXCHG16B: {rax, rdx}, x86asm.CMPXCHG8B: {rax, rdx}, x86asm.XGETBV: {rax, rdx},
	x86asm.MOVSB: {rcx, rsi, rdi}, x86asm.MOVSD: {rcx, rsi, rdi}, x86asm.MOVSQ: {rcx, rsi, rdi}, x86asm.MOVSW: {rcx, rsi, rdi},
	x86asm.STOSB: {rcx, rdi}, x86asm.STOSD: {rcx, rdi}, x86asm.STOSQ: {rcx, rdi}, x86asm.STOSW: {rcx, rdi}, x86asm.RDTSCP: {rax, rcx, rdx},
}

func (x *sim64) exec(rva pe.RVA, s *state) step {
	var buf [16]byte
	n, _ := x.o.f.ReadAt(buf[:], rva)
	b := buf[:n]
	if k := unknown64(b); k > 0 {
		return step{length: uint32(k), falls: true}
	}
	in, err := x86asm.Decode(b, int(x.word)*8)
	if err != nil || in.Op == 0 {
		return step{problem: "an instruction that is not known"}
	}
	st := step{length: uint32(in.Len), falls: true}
	next := rva + pe.RVA(in.Len)
	switch in.Op {
	case x86asm.PUSH:
		v := s.operand(in.Args[0], x.word)
		s.regs[rsp].n -= x.word
		s.store(s.regs[rsp].n, x.word, value{})
		s.store(s.regs[rsp].n, x.word, v)
	case x86asm.PUSHF, x86asm.PUSHFQ, x86asm.PUSHFD:
		s.regs[rsp].n -= x.word
		s.store(s.regs[rsp].n, x.word, value{})
	case x86asm.POPF, x86asm.POPFQ, x86asm.POPFD:
		s.set(rsp, value{onStack, s.regs[rsp].n + x.word})
	case x86asm.POP:
		v := s.load(s.regs[rsp].n)
		s.set(rsp, value{onStack, s.regs[rsp].n + x.word})
		s.write(in.Args[0], x.word, v)
	case x86asm.LEAVE:
		s.set(rsp, s.regs[rbp])
		v := s.load(s.regs[rsp].n)
		s.set(rsp, value{onStack, s.regs[rsp].n + x.word})
		s.regs[rbp] = v
	case x86asm.ADD, x86asm.SUB, x86asm.AND:
		x.arithmetic(in, s)
	case x86asm.LEA:
		v := value{}
		if m, ok := in.Args[1].(x86asm.Mem); ok {
			if off, ok := s.address(m); ok {
				v = value{onStack, off}
			}
		}
		s.write(in.Args[0], x.word, v)
	case x86asm.MOV:
		v := s.operand(in.Args[1], int64(in.MemBytes))
		if _, ok := in.Args[1].(x86asm.Mem); !ok && int64(in.MemBytes) == x.word || in.MemBytes == 0 {
			v = s.operand(in.Args[1], x.word)
		}
		s.write(in.Args[0], int64(in.MemBytes), v)
	case x86asm.XCHG, x86asm.XADD:
		a, b := s.operand(in.Args[0], x.word), s.operand(in.Args[1], x.word)
		s.write(in.Args[0], int64(in.MemBytes), b)
		s.write(in.Args[1], int64(in.MemBytes), a)
	case x86asm.CALL:
		st.call = x.call(s, next)
		if rel, ok := in.Args[0].(x86asm.Rel); ok {
			st.falls = !x.o.endless[next+pe.RVA(rel)]
		}
	case x86asm.RET:
		return step{length: st.length, ret: true}
	case x86asm.JMP:
		return x.jump(in, rva, b)
	case x86asm.UD1, x86asm.UD2, x86asm.HLT, x86asm.IRETQ, x86asm.SYSRET:
		st.falls = false
	case x86asm.INT:
		i, _ := in.Args[0].(x86asm.Imm)
		st.falls = i != 3 && i != 0x29
	default:
		if rel, ok := in.Args[0].(x86asm.Rel); ok {
			st.targets = []pe.RVA{next + pe.RVA(rel)}
			break
		}
		barrier := in.Op == x86asm.OR && buf[0] == 0xf0 // lock or [rsp], 0
		if !readOnly[in.Op] && in.Args[0] != nil && !barrier {
			s.write(in.Args[0], int64(in.MemBytes), value{})
		}
		for _, i := range clobbers[in.Op] {
			s.regs[i] = value{}
		}
	}
	if in.Op == x86asm.INT && buf[0] == 0xcc {
		st.falls = false
	}
	return st
}

func (x *sim64) arithmetic(in x86asm.Inst, s *state) {
	i, size, ok := reg64(in.Args[0])
	if !ok || size != x.word {
		s.write(in.Args[0], int64(in.MemBytes), value{})
		return
	}
	a, b := s.regs[i], s.operand(in.Args[1], x.word)
	v := value{}
	switch {
	case a.kind != onStack && a.kind != constant || b.kind != constant:
	case in.Op == x86asm.ADD:
		v = value{a.kind, a.n + b.n}
	case in.Op == x86asm.SUB:
		v = value{a.kind, a.n - b.n}
	case a.kind == onStack:
		v = value{onStack, (a.n+topSigned)&b.n - topSigned}
	}
	s.set(i, v)
}

// call forgets what a call may change. The one that probes the stack, before
// rax is taken from rsp, keeps rax. It reports whether the state is that of the
// function while the call has not returned.
func (x *sim64) call(s *state, next pe.RVA) bool {
	var b [4]byte
	_, _ = x.o.f.ReadAt(b[:], next)
	if x.word == 4 {
		return x.call86(s)
	}
	probe := b[0] == 0x48 && (b[1] == 0x29 && b[2] == 0xc4 || b[1] == 0x2b && b[2] == 0xe0)
	for i := range 16 {
		if kept64>>i&1 == 0 && (i != rax || !probe) {
			s.regs[i] = value{}
		}
	}
	if probe {
		return true
	}
	sp := s.regs[rsp].n
	s.below(sp)
	for off := int64(0); off < 0x20; off += 8 {
		if s.load(sp+off) != (value{entry, retval}) {
			s.store(sp+off, 8, value{})
		}
	}
	return true
}

// call86 is call for x86: the call that probes the stack moves esp by eax; no
// other is made with a constant there.
func (x *sim64) call86(s *state) bool {
	if v := s.regs[eax]; v.kind == constant && v.n >= 0x1000 {
		s.set(esp, value{onStack, s.regs[esp].n - v.n})
		return false
	}
	for i := range 8 {
		if keptX86>>i&1 == 0 {
			s.regs[i] = value{}
		}
	}
	s.below(s.regs[esp].n)
	return true
}

// jump follows a jmp.
func (x *sim64) jump(in x86asm.Inst, rva pe.RVA, b []byte) step {
	st := step{length: uint32(in.Len)}
	if rel, ok := in.Args[0].(x86asm.Rel); ok {
		st.targets = []pe.RVA{rva + pe.RVA(in.Len) + pe.RVA(rel)}
		return st
	}
	if m, ok := in.Args[0].(x86asm.Mem); ok && (m.Base == x86asm.RIP || x.word == 4 && m.Base == 0 && m.Index == 0) {
		st.ret = true
		return st
	}
	if x.word == 8 && b[0]&0xf8 == 0x48 {
		st.ret = true
		return st
	}
	if st.targets = x.table(rva); st.targets == nil {
		st.switchy = true
	}
	return st
}

// table finds the targets of a switch: the code before it loads the address of
// a table or of the image into a register, and an offset out of the table.
func (x *sim64) table(rva pe.RVA) []pe.RVA {
	_, fn, ok := x.o.owner(rva)
	if !ok || x.word == 4 {
		return nil
	}
	var list []x86asm.Inst
	var ats []pe.RVA
	b := make([]byte, rva-fn.Begin)
	_, _ = x.o.f.ReadAt(b, fn.Begin)
	for at := pe.RVA(0); at < pe.RVA(len(b)); {
		in, err := x86asm.Decode(b[at:], int(x.word)*8)
		if err != nil || in.Op == 0 {
			if k := unknown64(b[at:]); k > 0 {
				at += pe.RVA(k)
				continue
			}
			return nil
		}
		list, ats = append(list, in), append(ats, fn.Begin+at)
		at += pe.RVA(in.Len)
	}
	const window = 24
	var load x86asm.Mem
	limit, baseAt, found := int64(-1), int64(-1), 0
	for i := len(list) - 1; i >= max(0, len(list)-window); i-- {
		in := list[i]
		m, isMem := in.Args[1].(x86asm.Mem)
		switch {
		case found == 0 && isMem && (in.Op == x86asm.MOVSXD || in.Op == x86asm.MOV) && m.Scale == 4 && m.Index != 0 && in.MemBytes == 4:
			load, found = m, 1
		case found == 1 && isMem && in.Op == x86asm.LEA && m.Base == x86asm.RIP && in.Args[0] == x86asm.Arg(load.Base):
			baseAt, found = int64(ats[i])+int64(in.Len)+m.Disp, 2
		case limit < 0 && in.Op == x86asm.CMP:
			if imm, ok := in.Args[1].(x86asm.Imm); ok {
				limit = int64(imm)
			}
		}
	}
	if found != 2 || limit < 0 || limit > 4096 {
		return nil
	}
	var targets []pe.RVA
	for i := range limit + 1 {
		var e [4]byte
		if _, err := x.o.f.ReadAt(e[:], pe.RVA(baseAt+load.Disp+i*4)); err != nil {
			return nil
		}
		to := pe.RVA(baseAt) + pe.RVA(le.U32(e[:], 0))
		if r, _, ok := x.o.owner(to); !ok || r != x.o.root[fn.Begin] {
			return nil
		}
		targets = append(targets, to)
	}
	return targets
}
