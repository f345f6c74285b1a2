package kernel_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"

	"github.com/google/go-cmp/cmp"
)

// memory32 is a 32-bit machine's memory, page by page, without page tables.
type memory32 map[mem.VA]*[mem.PageSize]byte

func (m memory32) ReadAt(p []byte, va mem.VA) (int, error) {
	done := 0
	for done < len(p) {
		at := va + mem.VA(done)
		page := m[at&^(mem.PageSize-1)]
		if page == nil {
			return done, &mem.Fault{Address: at, Reason: mem.NotInDump}
		}
		done += copy(p[done:], page[at%mem.PageSize:])
	}
	return done, nil
}

// ReadPhysical makes it a whole-memory dump; nothing is there.
func (m memory32) ReadPhysical(p []byte, pa mem.PA) (int, error) {
	return 0, mem.MissingPage(pa, mem.NotInDump)
}

func (m memory32) put(va mem.VA, b []byte) {
	for len(b) > 0 {
		page := m[va&^(mem.PageSize-1)]
		if page == nil {
			page = &[mem.PageSize]byte{}
			m[va&^(mem.PageSize-1)] = page
		}
		n := copy(page[va%mem.PageSize:], b)
		va, b = va+mem.VA(n), b[n:]
	}
}

func (m memory32) words(va mem.VA, list ...uint32) {
	for i, v := range list {
		m.put(va+mem.VA(4*i), binary.LittleEndian.AppendUint32(nil, v))
	}
}

func (m memory32) text(va mem.VA, s string, buffer uint32) {
	m.words(va, uint32(len(s)*2)|uint32(len(s)*2)<<16, buffer)
	m.put(mem.VA(buffer), utf16(s))
}

// module32 is an entry of PsLoadedModuleList between two others.
func (m memory32) module32(at, next, last, base, size uint32, name string) {
	m.words(mem.VA(at), next, last)
	m.words(mem.VA(at)+0x18, base, base+0x1000, size)
	m.text(mem.VA(at)+0x24, `\SystemRoot\`+name, at+0x100)
	m.text(mem.VA(at)+0x2c, name, at+0x200)
}

// The lists and blocks of a 32-bit machine, whose debugger data block holds its
// addresses sign-extended; layouts of 19041 (layouts.tsv).
func TestOpen_Whole32(t *testing.T) {
	m := memory32{}
	const nt, head, kdbg, prcb, thread, process = 0x81400000, 0x81600000, 0x81601000, 0x81700000, 0x90001000, 0x90003000
	m.words(head, 0x90000000, 0x90000400)
	m.module32(0x90000000, 0x90000400, head, nt, 0x400000, "ntkrnlpa.exe")
	m.module32(0x90000400, head, 0x90000000, 0x92000000, 0x8000, "myfault.sys")
	block := make([]byte, 0x380)
	put32(block, 0x10, 0x4742444b)
	put32(block, 0x14, 0x380)
	for off, v := range map[int]uint32{0x18: nt, 0x48: head, 0x50: head + 0x100, 0x218: head + 0x200, 0x220: head + 0x210, 0x228: head + 0x214, 0x88: head + 0x300} {
		put64(block, off, uint64(int32FromAddress(v)))
	}
	for off, v := range map[int]uint16{0x2a0: 0x80, 0x2a8: 0x4c0, 0x2ac: 0x170, 0x2b0: 0x5f00, 0x2b4: 4, 0x2be: 0x3cc, 0x2c0: 0x4e0} {
		binary.LittleEndian.PutUint16(block[off:], v)
	}
	m.put(kdbg, block)
	m.words(head+0x200, prcb)
	m.words(head+0x210, 0x90000800, 1)
	m.put(0x90000800, make([]byte, 50*0x18))
	m.text(0x90000800, "gone.sys", 0x90000f00)
	m.words(0x90000808, 0x93000000, 0x93004000)
	m.words(head+0x300, 0xa, 1, 2, 3, 4)
	m.put(prcb, make([]byte, 0x5f00))
	m.words(prcb+4, thread)
	m.words(prcb+0x3cc, 0)
	m.put(thread, make([]byte, 0x4e0))
	m.words(thread+0x80, process)
	m.words(thread+0x2ac, 4244, 4300)
	m.words(thread+0x24, 0xa0000000)
	m.words(thread+0x28, 0xa0003000)
	m.put(0xa0000000, make([]byte, 0x3000))
	m.put(process, make([]byte, 0x4c0))
	m.words(process+0xe4, 4244)
	m.put(process+0x1ac, []byte("notmyfault.exe"))
	context := make([]byte, 1200)
	put32(context, 0xb8, nt+0x5000)
	put32(context, 0xc4, 0xa0002000)
	f := &dump.File{
		Kind: dump.Full, Arch: dump.X86, Memory: m, Physical: m, Context: context,
		Header: dump.Header{Build: 19041, BugCheckCode: 0xa, Parameters: [4]uint64{1, 2, 3, 4}, Processors: 1, DebuggerData: kdbg, LoadedModules: head},
	}
	got := kernel.Open(f)
	var modules []string
	for _, mod := range got.Modules {
		modules = append(modules, fmt.Sprintf("%s %s %v %x", mod.Module, mod.Path, mod.Base, mod.Size))
	}
	if diff := cmp.Diff([]string{`nt \SystemRoot\ntkrnlpa.exe 00000000` + "`81400000 400000", `myfault \SystemRoot\myfault.sys 00000000` + "`92000000 8000"}, modules); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if p, ok := got.Process(); !ok || p.Name != "notmyfault.exe" || *p.PID != 4244 || p.Address != process {
		t.Errorf("process %+v", p)
	}
	if th, ok := got.Thread(); !ok || th.Address != thread || *th.ID != 4300 {
		t.Errorf("thread %+v", th)
	}
	if len(got.Unloaded) != 1 || got.Unloaded[0].Name != "gone.sys" || got.Unloaded[0].End != 0x93004000 {
		t.Errorf("unloaded %+v", got.Unloaded)
	}
	if got.Blocks.StackTop != 0xa0002000 || len(got.Blocks.Stack) != 0x1000 || len(got.Notes) > 0 {
		t.Errorf("stack of %d bytes at %v, notes:\n%s", len(got.Blocks.Stack), got.Blocks.StackTop, notes(got))
	}
	walkWhole(t, got)
}

// int32FromAddress extends the sign of an address.
func int32FromAddress(v uint32) int64 { return int64(int32(v)) }
