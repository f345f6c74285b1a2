package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// says takes over as evidence what the catalogue knows of the value of parameter n;
// false if it knows nothing.
func (j *judgement) says(n int) bool {
	v, ok := win.English.Value(j.f.Code, n, j.f.Parameters[n-1])
	if ok {
		j.evidence(report.Recorded, parameter(n), report.T(v.Meaning))
	}
	return ok
}

// oneBitApart is the bit in which two values differ, if it is exactly one.
func oneBitApart(a, b uint64) (int, bool) { return oneWrongBit(a ^ b) }

// spelled is the text that a 64-bit pointer spells in memory, in characters of one
// byte or of two; "" if it is none. By chance one pointer in some thousand would, and
// none that is canonical does: eight bytes of text leave no room for its upper bits.
func spelled(v uint64) string {
	wide := v&0xff00ff00ff00ff00 == 0
	var b []byte
	for ; v != 0; v >>= 8 {
		if c := byte(v); c >= ' ' && c <= '~' {
			b = append(b, c)
		} else if !wide || c != 0 {
			return ""
		}
	}
	if wide && len(b) == 4 || len(b) == 8 {
		return string(b)
	}
	return ""
}

// repeated is the byte that a pointer is made of, but for its lowest byte, which an
// offset may have changed; false if there is none. Pointers to the lowest and the
// highest addresses are made of 0 and 0xff.
func repeated(v uint64, arch string) (byte, bool) {
	width := 8
	if arch == "x86" {
		width = 4
	}
	first := byte(v >> 8)
	for i := 1; i < width; i++ {
		if byte(v>>(8*i)) != first {
			return 0, false
		}
	}
	return first, first != 0 && first != 0xff
}

// describeFill says what a pointer is made of that was overwritten as a whole.
func (j *judgement) describeFill(addr uint64, source report.Text) {
	if text := spelled(addr); text != "" && j.f.Arch != "x86" {
		j.evidence(report.Derived, source, report.T("The address reads as the text %q: a string was written over the pointer, and whose string it is may tell who wrote it.", text))
	}
	if b, ok := repeated(addr, j.f.Arch); ok {
		j.evidence(report.Derived, source, report.T("The address is the byte 0x%02x over and over: no pointer but a pattern that memory was filled with, as when it is freed or not yet in use.", b))
	}
}
