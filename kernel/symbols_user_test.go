package kernel_test

import (
	"bytes"
	"context"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
)

// A program's stack is unwound and named as a driver's is: by the image and the
// symbol file on the symbol path.
func TestOpenWith_User(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	d := lab.Hang(lab.Windows19041)
	base, sp, ntdll := uint64(0x7ffd20000000), uint64(0x3e0d5ff000), d.Modules[1].Base+0x2000
	d.Modules = append(d.Modules, lab.UserModule{Path: `C:\x\myfault.sys`, Base: base, Size: c.size, Timestamp: c.timestamp})
	stack := make([]byte, 0x1000)
	for _, b := range []lab.Block{
		lab.Words(sp, base+c.middle+10, base+c.outer+10, ntdll, 0, 0, 0x51, base+c.outer+10), // decoys behind the first
		lab.Words(sp+0x38, 0, base+c.middle+10, ntdll, 0, 0, 0, 0, 0, 0xb0, ntdll+1),
	} {
		copy(stack[b.Address-sp:], b.Data)
	}
	d.Threads[0].Registers = lab.X64{Rip: base + c.inner, Rsp: sp, Rbx: 1, Rsi: 2, User: true}
	d.Threads[0].Stack = lab.Block{Address: sp, Data: stack}
	b, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	m := kernel.OpenWith(context.Background(), f, finder(t, c.dir))
	checkNamed(t, m.Stack(m.HeaderRegisters(), nil),
		"myfault!Inner+0x0 context", "myfault!Middle+0xa unwind", "myfault!Outer+0xa unwind", "ntdll!+0x2001 unwind")
}
