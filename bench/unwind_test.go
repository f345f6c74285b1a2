package bench

import (
	"bytes"
	"encoding/binary"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/unwind"
)

// deepStack is a synthetic image of many functions and a stack of calls of them.
type deepStack struct {
	machine pe.Machine
	image   []byte
	stack   []byte
	first   unwind.Registers
}

const (
	imageBase  = 0xfffff80010000000
	stackAt    = 0xffffb00000000000
	functions  = 512
	depth      = 1000 // frames of one walk
	functionSz = 0x40
)

var order = binary.LittleEndian

// deep makes function i reserve 0x20 + 8*(i%8) bytes below three saved registers.
func deep(m pe.Machine) deepStack {
	var pdata, rdata, stack []byte
	for i := range uint32(functions) {
		begin := 0x1000 + i*functionSz
		if m == pe.ARM64 {
			// x19 to x22 saved, fp and lr below them: 16 bytes more for some.
			pdata = order.AppendUint32(pdata, begin)
			pdata = order.AppendUint32(pdata, 1|functionSz/4<<2|4<<16|3<<21|(3+i%8)<<23)
			continue
		}
		info := 0x20000 + uint32(len(rdata))
		rdata = append(rdata, 1, 8, 4, 0, 8, byte(2|(3+i%8)<<4), 4, 0x30, 3, 0x70, 2, 0x60)
		for _, v := range []uint32{begin, begin + functionSz, info} {
			pdata = order.AppendUint32(pdata, v)
		}
	}
	for i := range uint64(depth) {
		size, ret := int(0x38+i%functions%8*8), 8
		if m == pe.ARM64 {
			size, ret = int(0x30+i%functions%8*16), 0
		}
		caller := imageBase + 0x1000 + (i+1)%functions*functionSz + 0x30
		if i == depth-1 {
			caller = 0
		}
		frame := bytes.Repeat([]byte{0x11}, size+ret)
		at := size
		if m == pe.ARM64 {
			at = 8
		}
		order.PutUint64(frame[at:], caller)
		if m == pe.ARM64 {
			order.PutUint64(frame, stackAt+uint64(len(stack)+size))
		}
		stack = append(stack, frame...)
	}
	d := deepStack{machine: m, image: headers(m, rdata, pdata), stack: stack, first: unwind.Registers{Machine: m}}
	for _, name := range []string{"rip", "pc"} {
		d.first.Set(name, imageBase+0x1000+0x30)
	}
	for _, name := range []string{"rsp", "sp", "fp"} {
		d.first.Set(name, stackAt)
	}
	d.first.Returned = true
	return d
}

func headers(m pe.Machine, rdata, pdata []byte) []byte {
	b := make([]byte, 0x40000)
	copy(b, "MZ")
	order.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	order.PutUint16(b[0x84:], uint16(m))
	order.PutUint16(b[0x94:], 0xf0)
	order.PutUint16(b[0x98:], 0x20b)
	order.PutUint32(b[0x98+0x38:], uint32(len(b)))
	order.PutUint32(b[0x98+0x6c:], 16)
	order.PutUint32(b[0x98+0x70+24:], 0x30000)
	order.PutUint32(b[0x98+0x70+28:], uint32(len(pdata)))
	copy(b[0x20000:], rdata)
	copy(b[0x30000:], pdata)
	return b
}

func (d deepStack) walker(b *testing.B) *unwind.Walker {
	f, err := pe.Open(bytes.NewReader(d.image), int64(len(d.image)), pe.InMemory)
	if err != nil {
		b.Fatal(err)
	}
	m := mem.NewRanges(bytes.NewReader(d.stack), int64(len(d.stack)), []mem.Range{{Address: stackAt, Size: uint64(len(d.stack))}})
	return &unwind.Walker{Stack: m, Modules: func(pc mem.VA) (unwind.Module, bool) {
		return unwind.Module{Base: imageBase, Image: f}, pc >= imageBase && pc < imageBase+0x40000
	}}
}

// BenchmarkUnwind is 10,000 frames by tables, ten walks: "cold" with a new
// Walker each walk, "warm" with one for all, as a machine's threads share it.
func BenchmarkUnwind(b *testing.B) {
	for _, m := range []pe.Machine{pe.X64, pe.ARM64} {
		d := deep(m)
		for _, warm := range []bool{false, true} {
			name := m.String() + "/cold"
			if warm {
				name = m.String() + "/warm"
			}
			b.Run(name, func(b *testing.B) {
				w := d.walker(b)
				b.ReportAllocs()
				for b.Loop() {
					for range 10 {
						if !warm {
							w = d.walker(b)
						}
						if frames, err := w.Walk(d.first); len(frames) != depth || err != nil {
							b.Fatalf("%d frames, %v", len(frames), err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(10*depth), "ns/frame")
			})
		}
	}
}
