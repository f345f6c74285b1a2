package unwind

import (
	"errors"
	"fmt"
	"slices"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

// Frame is one caller, or the code that runs.
type Frame struct {
	PC, SP    mem.VA
	Registers Registers // what is known of them; PC is exact unless Registers.Returned
	Trust     string    // report.TrustContext, TrustUnwind, TrustFramePointer or TrustScan
	// MachineFrame is where the registers of this frame were saved, as far as
	// they were, when an interrupt or trap left it; zero if it made a call. On
	// x64 that is the rip that the processor pushed: a KTRAP_FRAME begins 0x168
	// bytes before it. On ARM64 it is the KTRAP_FRAME, machine frame or CONTEXT.
	MachineFrame mem.VA
}

const (
	maxFrames = 1024
	maxScan   = 256 << 10 // bytes of a stack between two frames; the largest kernel stacks have less
	scanChunk = 512
)

// Walk lists the frame of r and its callers, 1024 at most. The error says why a
// step by tables first failed; the frames behind that were found by frame
// pointers, by scanning, or by tables again. The walk ends without an error
// where the stack does: at a return address of zero, near the end if it scans.
func (w *Walker) Walk(r Registers) ([]Frame, error) {
	w.window.n = 0
	w.frames = append(w.frames[:0], Frame{PC: r.PC(), SP: r.SP(), Registers: r, Trust: report.TrustContext})
	err := w.walk()
	return slices.Clone(w.frames), err
}

// walk appends the callers to w.frames.
func (w *Walker) walk() (first error) {
	for len(w.frames) < maxFrames {
		last := &w.frames[len(w.frames)-1]
		next, err := w.next(last, w.frames)
		if err != nil && first == nil {
			first = err
		}
		if err != nil {
			next, err = w.guess(last)
		}
		if err != nil || next.PC == 0 {
			break
		}
		w.frames = append(w.frames, next)
	}
	return first
}

// next finds a caller by tables.
func (w *Walker) next(last *Frame, before []Frame) (Frame, error) {
	caller, saved, err := w.step(last.Registers)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{PC: caller.PC(), SP: caller.SP(), Registers: caller, Trust: report.TrustUnwind, MachineFrame: saved}
	if !w.moves(last, &f, before) {
		return Frame{}, &StepError{last.PC, fmt.Errorf("%v to %v: %w", last.SP, f.SP, ErrStack)}
	}
	if f.PC == 0 && w.Plausible != nil && !w.nearEnd(f.SP) {
		return Frame{}, &StepError{last.PC, ErrZero}
	}
	return f, nil
}

// moves reports whether a walk may go on from last to next. The stack pointer
// rises; on ARM64 the frame that was interrupted may have a caller with the
// same one. It goes anywhere behind an interrupt or to another stack, but not
// where the walk has been.
func (w *Walker) moves(last, next *Frame, before []Frame) bool {
	if next.SP > last.SP || next.SP == last.SP && next.PC != last.PC && next.Registers.Machine == pe.ARM64 && !last.Registers.Returned {
		return true
	}
	if next.MachineFrame == 0 && !w.switches(last.SP, next.SP) {
		return false
	}
	for i := range before {
		if before[i].SP == next.SP && before[i].PC == next.PC {
			return false
		}
	}
	return true
}

// switches reports whether a stack pointer moves from one stack to another.
func (w *Walker) switches(from, to mem.VA) bool {
	for _, s := range w.Stacks {
		if s.contains(to) {
			return !s.contains(from)
		}
	}
	return false
}

// errEnd ends a walk.
var errEnd = errors.New("no caller is found")

// guess finds a caller without tables. The stack pointer rises, and does not run
// over the end of the address space.
func (w *Walker) guess(last *Frame) (Frame, error) {
	f, ok := w.chain(last)
	if !ok {
		var err error
		if f, err = w.scan(last); err != nil {
			return f, err
		}
	}
	if f.SP <= last.SP {
		return Frame{}, ErrStack
	}
	return f, nil
}

// chain follows the frame pointer: it points to the caller's frame pointer, and
// the return address stands behind that. x64 code keeps no such chain.
func (w *Walker) chain(last *Frame) (Frame, bool) {
	r, frame, size := last.Registers, fp, mem.VA(8)
	switch r.Machine {
	case pe.X86:
		frame, size = ebp, 4
	case pe.X64:
		return Frame{}, false
	}
	v, ok := r.get(frame)
	at := mem.VA(v)
	if !ok || at < last.SP || at%size != 0 || at+2*size < at {
		return Frame{}, false
	}
	b, err := mem.Read(w.Stack, at, int(2*size))
	if err != nil {
		return Frame{}, false
	}
	link, ret := word(b, size), word(b[size:], size)
	if ret = w.address(r.Machine, ret); !w.plausible(mem.VA(ret)) {
		return Frame{}, false
	}
	next := Registers{Machine: r.Machine, Returned: true}
	next.set(frame, link)
	next.set(next.machine().pc, ret)
	next.set(next.machine().sp, uint64(at+2*size))
	return Frame{PC: next.PC(), SP: next.SP(), Registers: next, Trust: report.TrustFramePointer}, true
}

func word(b []byte, size mem.VA) uint64 {
	if size == 4 {
		return uint64(le.U32(b, 0))
	}
	return le.U64(b, 0)
}

// address is a word of the stack as an address.
func (w *Walker) address(m pe.Machine, v uint64) uint64 {
	if m == pe.ARM64 {
		return StripARM64(v)
	}
	return v
}

func (w *Walker) plausible(ret mem.VA) bool {
	if w.Plausible != nil {
		return w.Plausible(ret)
	}
	_, ok := w.module(ret)
	return ok
}

// scan looks on the stack for a word that could be a return address. Nothing
// else is known of the caller then.
func (w *Walker) scan(last *Frame) (Frame, error) {
	if w.Plausible == nil {
		return Frame{}, errEnd
	}
	r, size := last.Registers, mem.VA(8)
	if r.Machine == pe.X86 {
		size = 4
	}
	start := (last.SP + size - 1) &^ (size - 1)
	if start < last.SP {
		return Frame{}, errEnd
	}
	end := w.scanEnd(start)
	var buf [scanChunk]byte
	for off := mem.VA(0); start+off < end; off += scanChunk {
		n, err := w.Stack.ReadAt(buf[:min(scanChunk, end-start-off)], start+off)
		for i := 0; i+int(size) <= n; i += int(size) {
			ret := w.address(r.Machine, word(buf[i:], size))
			if w.Plausible(mem.VA(ret)) {
				next := Registers{Machine: r.Machine, Returned: true}
				next.set(next.machine().pc, ret)
				next.set(next.machine().sp, uint64(start+off+size)+uint64(i))
				if w.contradicted(next) {
					continue
				}
				return Frame{PC: next.PC(), SP: next.SP(), Registers: next, Trust: report.TrustScan}, nil
			}
		}
		if err != nil {
			return Frame{}, errEnd
		}
	}
	return Frame{}, errEnd
}

// contradicted reports that a word is no return address although it looks like
// one: the unwind data of its function, applied where the word stands, leads to a
// caller that cannot be one. A word that is left over from an earlier call lies
// where the stack has been used anew since.
func (w *Walker) contradicted(r Registers) bool {
	caller, saved, err := w.step(r)
	switch {
	case err != nil || saved != 0:
		return false
	case caller.PC() == 0:
		return !w.nearEnd(caller.SP())
	}
	return !w.Plausible(caller.PC())
}

// lastFrame is what may lie behind the return address of zero that a thread's
// stack begins with, bytes: what its creator put there.
const lastFrame = 0x400

// nearEnd reports that a stack ends soon behind va.
func (w *Walker) nearEnd(va mem.VA) bool {
	if end := w.scanEnd(va); end-va <= lastFrame {
		return true
	}
	var b [1]byte
	_, err := w.Stack.ReadAt(b[:], va+lastFrame)
	return err != nil
}

// scanEnd is where a scan from start ends at the latest.
func (w *Walker) scanEnd(start mem.VA) mem.VA {
	end := start + maxScan
	if end < start {
		end = ^mem.VA(0)
	}
	for _, s := range w.Stacks {
		if start >= s.Start && start <= s.End {
			end = min(end, s.End)
		}
	}
	return end
}

// badCall unwinds code that lies in no module: a call went through a bad
// pointer, and nothing has moved the stack pointer since. That holds if the
// code before the return address is a call.
func (w *Walker) badCall(r Registers) (Registers, mem.VA, error) {
	if r.Returned {
		return r, 0, ErrNoImage
	}
	var caller Registers
	var err error
	switch r.Machine {
	case pe.X64:
		caller, _, err = w.return64(r)
	case pe.ARM64:
		caller, _, err = returnARM64(r)
	default:
		caller, err = w.returnX86(r)
	}
	if err != nil {
		return r, 0, err
	}
	if !w.followsCall(caller) {
		return r, 0, ErrNoImage
	}
	return caller, 0, nil
}

// followsCall reports whether the code before a return address is a call.
func (w *Walker) followsCall(r Registers) bool {
	m, ok := w.module(r.PC())
	if !ok || r.PC() < m.Base+LongestCall {
		return false
	}
	var buf [LongestCall]byte
	return FollowsCall(r.Machine, w.code(m, buf[:], r.PC()-LongestCall))
}

// LongestCall is the length of the longest call that ends at a return address,
// bytes: FF /2 with SIB, displacement and a prefix.
const LongestCall = 8

// FollowsCall reports whether b, the LongestCall bytes of code before an address,
// ends with a call: E8 with a displacement, or FF /2; BL, BLR, or BLR with
// authentication.
func FollowsCall(m pe.Machine, b []byte) bool {
	if len(b) < LongestCall {
		return false
	}
	if m == pe.ARM64 {
		op := le.U32(b, LongestCall-4)
		return op>>26 == 0x25 || op&0xfffffc1f == 0xd63f0000 || op&0xfefff800 == 0xd63f0800
	}
	if b[LongestCall-5] == 0xe8 {
		return true
	}
	for n := 2; n < LongestCall; n++ {
		if b[LongestCall-n] == 0xff && callLength(b[LongestCall-n:]) == n {
			return true
		}
	}
	return false
}

// callLength is the length of an indirect call (FF /2) at the start of b, or 0.
func callLength(b []byte) int {
	modrm := b[1]
	mod, rm := modrm>>6, modrm&7
	if modrm>>3&7 != 2 {
		return 0
	}
	n := 2
	noBase := mod == 0 && rm == 5 // a displacement alone
	if mod != 3 && rm == 4 {
		if n++; len(b) < n {
			return 0
		}
		noBase = mod == 0 && b[2]&7 == 5
	}
	switch {
	case mod == 1:
		n++
	case mod == 2 || noBase:
		n += 4
	}
	return n
}
