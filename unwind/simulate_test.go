package unwind

import (
	"fmt"
	"sort"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
)

// The oracle: code is run instruction by instruction from an invented caller
// state, without a look at unwind data but for where functions begin and which
// parts belong together. At every instruction the unwinder must find that
// state again. Only what matters is modelled: the stack pointer, values that
// the caller left in registers, addresses on the stack, constants.

type kind uint8

const (
	unknown  kind = iota
	entry         // what register n held when the function was entered
	onStack       // an address: the stack pointer at entry, plus n
	constant      // n
)

type value struct {
	kind kind
	n    int64
}

// retval is the index of the return address among the entry values.
const retval = 40

type slot struct {
	off int64 // from the stack pointer at entry
	v   value
}

// state is what is known before an instruction.
type state struct {
	word  int64 // size of an address, bytes
	regs  [numRegisters]value
	slots []slot // sorted; never changed in place once shared
}

func (s *state) find(off int64) int {
	return sort.Search(len(s.slots), func(i int) bool { return s.slots[i].off >= off })
}

func (s *state) load(off int64) value {
	if i := s.find(off); i < len(s.slots) && s.slots[i].off == off {
		return s.slots[i].v
	}
	return value{}
}

// store writes size bytes at off; what it overlaps is lost.
func (s *state) store(off int64, size int64, v value) {
	if size == s.word && v.kind != unknown && s.load(off) == v {
		return
	}
	from, to := s.find(off-s.word+1), s.find(off+size)
	if from == to && (v.kind == unknown || size != s.word) {
		return
	}
	list := append(make([]slot, 0, len(s.slots)+1), s.slots[:from]...)
	if size == s.word && v.kind != unknown {
		list = append(list, slot{off, v})
	}
	s.slots = append(list, s.slots[to:]...)
}

// below drops what lies below off.
func (s *state) below(off int64) {
	if i := s.find(off); i > 0 {
		s.slots = s.slots[i:]
	}
}

// dynamic is where the stack pointer is after an allocation of unknown size.
const dynamic = -0x1000000

// join makes s what holds of both; conflict if the stack pointers differ and
// nothing else points to the frame, as it does where the stack pointer moves by
// an unknown amount, and in front of a call that does not return.
func (s *state) join(t *state, sp int) (changed, conflict bool) {
	frame := rbp
	if sp != rsp {
		frame = fp
	}
	framed := s.regs[frame].kind == onStack && s.regs[frame] == t.regs[frame]
	for i := range s.regs {
		if s.regs[i] == t.regs[i] {
			continue
		}
		v := value{}
		if i == sp {
			if s.regs[i].n > dynamic/2 && t.regs[i].n > dynamic/2 && !framed {
				return false, true
			}
			v = value{onStack, dynamic}
		}
		if s.regs[i] != v {
			s.regs[i], changed = v, true
		}
	}
	var kept []slot
	for _, x := range s.slots {
		if t.load(x.off) == x.v {
			kept = append(kept, x)
		}
	}
	if len(kept) != len(s.slots) {
		s.slots, changed = kept, true
	}
	return changed, false
}

// step is what an instruction does.
type step struct {
	length  uint32
	targets []pe.RVA // of its jumps
	falls   bool     // the next instruction follows
	ret     bool     // it returns, or jumps to another function
	switchy bool     // it jumps to somewhere that is not known
	call    bool
	problem string
}

// simulator runs the code of one machine.
type simulator interface {
	// exec runs the instruction at rva on s.
	exec(rva pe.RVA, s *state) step
	entryState() state
	sp() int
}

// oracle checks the functions of an image.
type oracle struct {
	f     *pe.File
	m     pe.Machine
	sim   simulator
	walk  *Walker
	stack fakeStack
	root  map[pe.RVA]pe.RVA // entry → the function that it is a part of
	list  []pe.Function

	endless map[pe.RVA]bool // functions that do not return

	functions, positions, failed int
	bytes, reached               int // of the functions; of those in instructions that were checked
	skipped                      map[string]int
	failures                     []string
}

const (
	base = 0xfffff80012340000
	top  = 0xffffa00055557008 // the stack pointer at entry, on x64; on ARM64 it is 8 less, a multiple of 16

	entryRet = 0xfffff80099990000 // the return address
)

// entryValue is what the caller has in register n.
func entryValue(n int64) uint64 {
	switch n {
	case retval:
		return entryRet
	case signed:
		return signedValue
	}
	return 0xe0000000e0000000 | uint64(n+1)<<32 | uint64(n+1)<<16 | 0x1230
}

func (v value) concrete(i int) uint64 {
	switch v.kind {
	case entry:
		return entryValue(v.n)
	case onStack:
		return top + uint64(v.n)
	case constant:
		return uint64(v.n)
	}
	return 0xbad0000000000000 | uint64(i)
}

// fakeStack is the memory of a state; what it does not know is rubbish.
type fakeStack struct {
	s   *state
	top int64 // the stack pointer at entry
}

func (f *fakeStack) ReadAt(p []byte, va mem.VA) (int, error) {
	for i := 0; i < len(p); i += int(f.s.word) {
		off := int64(va) + int64(i) - f.top
		v := uint64(0xcccccccccccccccc)
		if x := f.s.load(off); x.kind != unknown {
			v = x.concrete(0)
		}
		for j := 0; j < int(f.s.word) && i+j < len(p); j++ {
			p[i+j] = byte(v >> (8 * j))
		}
	}
	return len(p), nil
}

var topSigned = func() int64 { v := uint64(top); return int64(v) }()

func newOracle(f *pe.File) (*oracle, error) {
	o := &oracle{f: f, m: f.Header.Machine, root: map[pe.RVA]pe.RVA{}, skipped: map[string]int{}}
	o.stack.top = topSigned
	o.walk = &Walker{Stack: &o.stack, Modules: func(pc mem.VA) (Module, bool) {
		return Module{Base: base, Image: f}, pc >= base && pc < base+mem.VA(f.Header.SizeOfImage)
	}}
	var err error
	o.list, err = f.Functions()
	if o.m == pe.ARM64 {
		o.sim = &simARM64{o: o}
	} else {
		o.sim = &sim64{o: o, word: 8}
	}
	for _, fn := range o.list {
		o.root[fn.Begin] = o.rootOf(fn)
	}
	return o, err
}

// rootOf follows a chain by hand, so that the code under test is not asked.
func (o *oracle) rootOf(fn pe.Function) pe.RVA {
	if o.m != pe.X64 {
		return fn.Begin
	}
	for range 40 {
		b := make([]byte, 4)
		if _, err := o.f.ReadAt(b, fn.Unwind&^3); err != nil || b[0]>>3&4 == 0 {
			break
		}
		p := make([]byte, 12)
		if _, err := o.f.ReadAt(p, fn.Unwind+4+pe.RVA(int(b[2])+int(b[2])%2)*2); err != nil {
			break
		}
		fn = pe.Function{Begin: pe.RVA(le.U32(p, 0)), End: pe.RVA(le.U32(p, 4)), Unwind: pe.RVA(le.U32(p, 8))}
	}
	return fn.Begin
}

// owner is the function that rva is in.
func (o *oracle) owner(rva pe.RVA) (root pe.RVA, fn pe.Function, ok bool) {
	i := sort.Search(len(o.list), func(i int) bool { return o.list[i].Begin > rva }) - 1
	if i < 0 || rva >= o.list[i].End {
		return 0, fn, false
	}
	return o.root[o.list[i].Begin], o.list[i], true
}

// run checks every function.
func (o *oracle) run() {
	for _, fn := range o.list {
		o.bytes += int(fn.End - fn.Begin)
		if o.root[fn.Begin] == fn.Begin && !o.fragment(fn) {
			o.function(fn.Begin)
		}
	}
}

// fragment reports whether an ARM64 entry is a part of another function, which
// is reached with that one's frame: packed data with flag 2, or an .xdata record
// whose codes begin with end_c.
func (o *oracle) fragment(fn pe.Function) bool {
	if o.m != pe.ARM64 || fn.Packed != 0 {
		return fn.Packed&3 == 2
	}
	var b [8]byte
	if _, err := o.f.ReadAt(b[:], fn.Unwind); err != nil {
		return false
	}
	at, epilogs, words := fn.Unwind+4, le.U32(b[:], 0)>>22&31, le.U32(b[:], 0)>>27
	if epilogs == 0 && words == 0 {
		at, epilogs = at+4, le.U32(b[:], 4)&0xffff
	}
	if le.U32(b[:], 0)>>21&1 == 0 {
		at += pe.RVA(epilogs) * 4
	}
	_, err := o.f.ReadAt(b[:1], at)
	return err == nil && b[0] == 0xe5
}

func (o *oracle) function(begin pe.RVA) {
	o.functions++
	states, problem := o.flow(begin)
	if problem != "" {
		o.skipped[problem]++
		if o.skipped[problem] <= 3 {
			o.failures = append(o.failures, fmt.Sprintf("skipped %v: %s", begin, problem))
		}
		return
	}
	for rva, s := range states {
		o.check(begin, rva, s, false)
		after := *s
		st := o.sim.exec(rva, &after)
		o.reached += int(st.length)
		if st.call {
			o.check(begin, rva+pe.RVA(st.length), &after, true)
		}
	}
}

// flow finds the state before every instruction that can be reached.
func (o *oracle) flow(begin pe.RVA) (states map[pe.RVA]*state, problem string) {
	first := o.sim.entryState()
	states = map[pe.RVA]*state{begin: &first}
	work := []pe.RVA{begin}
	var jumps []pe.RVA // to where is not known
	enter := func(to pe.RVA, s *state) {
		if old, ok := states[to]; ok {
			changed, conflict := old.join(s, o.sim.sp())
			if conflict {
				problem = "two stack pointers meet"
			}
			if changed {
				work = append(work, to)
			}
			return
		}
		c := *s
		states[to] = &c
		work = append(work, to)
	}
	for steps := 0; problem == ""; {
		if len(work) == 0 {
			if from, to, ok := o.unreached(states, jumps); ok {
				s := *states[from]
				enter(to, &s)
				continue
			}
			break
		}
		at := work[len(work)-1]
		work = work[:len(work)-1]
		s := *states[at]
		st := o.sim.exec(at, &s)
		if steps++; steps > 2000000 {
			return nil, "too many steps"
		}
		switch {
		case st.problem != "":
			return nil, st.problem
		case st.ret:
			if !o.returned(&s) {
				return nil, "does not return as it came"
			}
		case st.switchy && o.returned(&s):
			// A jump to another function.
		case st.switchy:
			jumps = append(jumps, at)
		}
		for _, to := range st.targets {
			if o.inside(begin, to) && to != begin {
				enter(to, &s)
			} else if !o.returned(&s) {
				return nil, "jumps to another function with a frame"
			}
		}
		if to := at + pe.RVA(st.length); st.falls && o.inside(begin, to) {
			enter(to, &s)
		}
	}
	if problem != "" {
		return nil, problem
	}
	return states, ""
}

// inside reports whether rva is in the function, or in a fragment that may be
// its own.
func (o *oracle) inside(begin, rva pe.RVA) bool {
	root, fn, ok := o.owner(rva)
	return ok && (root == begin || o.m == pe.ARM64 && o.fragment(fn))
}

// unreached finds code that only a jump to an unknown place can reach: it
// begins behind an instruction that does not fall through.
func (o *oracle) unreached(states map[pe.RVA]*state, jumps []pe.RVA) (from, to pe.RVA, ok bool) {
	if len(jumps) == 0 {
		return 0, 0, false
	}
	for at := range states {
		_, fn, _ := o.owner(at)
		s := *states[at]
		next := at + pe.RVA(o.sim.exec(at, &s).length)
		if _, seen := states[next]; !seen && next < fn.End && o.isCode(next) {
			return jumps[0], next, true
		}
	}
	return 0, 0, false
}

func (o *oracle) isCode(rva pe.RVA) bool {
	var b [4]byte
	if _, err := o.f.ReadAt(b[:], rva); err != nil {
		return false
	}
	if o.m == pe.ARM64 {
		return le.U32(b[:], 0)>>16 != 0
	}
	return b[0] != 0xcc
}

// returned reports whether the caller's state is there as a return needs it.
func (o *oracle) returned(s *state) bool {
	first := o.sim.entryState()
	if sp := o.sim.sp(); s.regs[sp] != first.regs[sp] {
		return false
	}
	for i := range numRegisters {
		if kept(o.m)>>i&1 != 0 && i != o.pc() && i != x18 && s.regs[i] != first.regs[i] {
			return false
		}
	}
	return true
}

func kept(m pe.Machine) uint64 {
	r := Registers{Machine: m}
	return r.machine().kept
}

func (o *oracle) pc() int {
	r := Registers{Machine: o.m}
	return r.machine().pc
}

// check unwinds from one position: an instruction, or a return address.
func (o *oracle) check(begin, at pe.RVA, s *state, returned bool) {
	o.positions++
	o.stack.s = s
	r := Registers{Machine: o.m, Returned: returned}
	for i, v := range s.regs {
		r.set(i, v.concrete(i))
	}
	mask, want := ^uint64(0), uint64(top)+8
	switch o.m {
	case pe.ARM64:
		want = top - 8
	case pe.X86:
		mask, want = 0xffffffff, top&0xffffffff+4
	}
	pcIndex := o.pc()
	r.set(pcIndex, base+uint64(at))
	got, err := o.walk.Step(r)
	if err != nil {
		o.fail(begin, at, err.Error())
		return
	}
	if g := uint64(got.PC()); g != entryRet&mask {
		o.fail(begin, at, fmt.Sprintf("pc %x", g))
		return
	}
	if g := uint64(got.SP()); g != want {
		o.fail(begin, at, fmt.Sprintf("sp %x, want %x", g, want))
		return
	}
	first := o.sim.entryState()
	for i := range numRegisters {
		if kept(o.m)>>i&1 == 0 || i == pcIndex || i == o.sim.sp() || first.regs[i].kind != entry || i == lr && o.m == pe.ARM64 {
			continue
		}
		if g, ok := got.get(i); !ok || g != entryValue(int64(i))&mask {
			o.fail(begin, at, fmt.Sprintf("%s %x, %v", got.machine().names[i], g, ok))
			return
		}
	}
}

func (o *oracle) fail(begin, at pe.RVA, what string) {
	if o.failed++; o.failed <= 20 {
		o.failures = append(o.failures, fmt.Sprintf("function %v at %v: %s", begin, at, what))
	}
}
