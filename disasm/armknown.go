package disasm

import (
	"fmt"
	"strings"
)

// armEntry is an instruction that arm64asm does not know.
type armEntry struct {
	mask, value uint32
	name        string
	operands    string // by the place in the word, d, n or m: x0; D, N, M: sp for 31; @ is memory, = a word
}

// armKnown are pointer authentication, and what came after Armv8.1.
var armKnown = []armEntry{
	{0xfffffc00, 0xdac10000, "pacia", "dN"}, {0xfffffc00, 0xdac10400, "pacib", "dN"},
	{0xfffffc00, 0xdac10800, "pacda", "dN"}, {0xfffffc00, 0xdac10c00, "pacdb", "dN"},
	{0xfffffc00, 0xdac11000, "autia", "dN"}, {0xfffffc00, 0xdac11400, "autib", "dN"},
	{0xfffffc00, 0xdac11800, "autda", "dN"}, {0xfffffc00, 0xdac11c00, "autdb", "dN"},
	{0xffffffe0, 0xdac123e0, "paciza", "d"}, {0xffffffe0, 0xdac127e0, "pacizb", "d"},
	{0xffffffe0, 0xdac12be0, "pacdza", "d"}, {0xffffffe0, 0xdac12fe0, "pacdzb", "d"},
	{0xffffffe0, 0xdac133e0, "autiza", "d"}, {0xffffffe0, 0xdac137e0, "autizb", "d"},
	{0xffffffe0, 0xdac13be0, "autdza", "d"}, {0xffffffe0, 0xdac13fe0, "autdzb", "d"},
	{0xffffffe0, 0xdac143e0, "xpaci", "d"}, {0xffffffe0, 0xdac147e0, "xpacd", "d"},
	{0xffe0fc00, 0x9ac03000, "pacga", "dnM"},
	{0xfffffc1f, 0xd61f081f, "braaz", "n"}, {0xfffffc1f, 0xd61f0c1f, "brabz", "n"},
	{0xfffffc1f, 0xd63f081f, "blraaz", "n"}, {0xfffffc1f, 0xd63f0c1f, "blrabz", "n"},
	{0xfffffc00, 0xd71f0800, "braa", "nD"}, {0xfffffc00, 0xd71f0c00, "brab", "nD"},
	{0xfffffc00, 0xd73f0800, "blraa", "nD"}, {0xfffffc00, 0xd73f0c00, "blrab", "nD"},
	{0xffffffff, 0xd65f0bff, "retaa", ""}, {0xffffffff, 0xd65f0fff, "retab", ""},
	{0xffffffff, 0xd69f0bff, "eretaa", ""}, {0xffffffff, 0xd69f0fff, "eretab", ""},
	{0xffa00400, 0xf8200400, "ldraa", "d@"}, {0xffa00400, 0xf8a00400, "ldrab", "d@"},
	{0xffffffff, 0xd50330ff, "sb", ""}, {0xffffffff, 0xd500401f, "cfinv", ""},
	{0xffffffff, 0xd500403f, "xaflag", ""}, {0xffffffff, 0xd500405f, "axflag", ""},
	{0xfffffc00, 0x1e7e0000, "fjcvtzs", ""},
	{0xbf20fc00, 0x2e008400, "sqrdmlah", ""}, {0xbf20fc00, 0x2e008c00, "sqrdmlsh", ""},
	{0xff20fc00, 0x7e008400, "sqrdmlah", ""}, {0xff20fc00, 0x7e008c00, "sqrdmlsh", ""},
	{0xbf00f400, 0x2f00d000, "sqrdmlah", ""}, {0xbf00f400, 0x2f00f000, "sqrdmlsh", ""},
	{0xff00f400, 0x7f00d000, "sqrdmlah", ""}, {0xff00f400, 0x7f00f000, "sqrdmlsh", ""},
	{0xbf20e400, 0x2e00c400, "fcmla", ""}, {0xbf009400, 0x2f001000, "fcmla", ""}, {0xbf20ec00, 0x2e00e400, "fcadd", ""},
	{0xbfe0fc00, 0x0e809400, "sdot", ""}, {0xbfe0fc00, 0x2e809400, "udot", ""},
	{0xbfc0f400, 0x0f80e000, "sdot", ""}, {0xbfc0f400, 0x2f80e000, "udot", ""},
	{0xffff0000, 0x00000000, "udf", "#"},
	{0xffe0001f, 0xd4000002, "hvc", "I"}, {0xffe0001f, 0xd4000003, "smc", "I"},
	{0xffffffff, 0xd508711f, "ic", "=ialluis"}, {0xffffffff, 0xd508751f, "ic", "=iallu"}, {0xffffffe0, 0xd50b7520, "ic", "=ivau,d"},
	{0xffffffe0, 0xd5087800, "at", "=s1e1r,d"}, {0xffffffe0, 0xd5087820, "at", "=s1e1w,d"},
	{0xffffffe0, 0xd5087840, "at", "=s1e0r,d"}, {0xffffffe0, 0xd5087860, "at", "=s1e0w,d"},
}

// armHints are the no-operations with a sense, by number.
var armHints = [128]string{
	6: "dgh", 7: "xpaclri", 8: "pacia1716", 10: "pacib1716", 12: "autia1716", 14: "autib1716", 16: "esb",
	17: "psb csync", 18: "tsb csync", 20: "csdb", 22: "clrbhb", 24: "paciaz", 25: "paciasp", 26: "pacibz", 27: "pacibsp",
	28: "autiaz", 29: "autiasp", 30: "autibz", 31: "autibsp", 32: "bti", 34: "bti c", 36: "bti j", 38: "bti jc",
}

// known finds an instruction that arm64asm does not know.
func (w word) known() (name, operands string, ok bool) {
	switch {
	case w.is(0xfffff01f, 0xd503201f) && armHints[w.field(5, 7)] != "":
		name, operands, _ = strings.Cut(armHints[w.field(5, 7)], " ")
		return name, operands, true
	case w.is(0x3b200c00, 0x38200000) && w.field(26, 1) == 0:
		return w.atomicName()
	case w.is(0x3fa07c00, 0x08a07c00):
		return w.ordered("cas", w.field(30, 2)), w.registers(w.field(30, 2) == 3) + w.at(), true
	case w.is(0xbfa07c00, 0x08207c00):
		return w.ordered("casp", 2), w.pairs(w.field(30, 1) == 1) + w.at(), true
	case w.is(0x3fa08000, 0x08800000): // ldlar, stllr
		name = [...]string{"stllr", "ldlar"}[w.field(22, 1)] + sizeLetter(w.field(30, 2))
		return name, generalRegister(w.field(0, 5), w.field(30, 2) == 3) + "," + w.at(), true
	case w.is(0x3f200c00, 0x19000000):
		return w.unscaledName()
	}
	for _, e := range armKnown {
		if w.is(e.mask, e.value) {
			return e.name, w.operands(e.operands), true
		}
	}
	return "", "", false
}

// at is the operand in memory.
func (w word) at() string {
	m, _ := w.memory()
	if m.Displacement != 0 {
		return fmt.Sprintf("[%s,#%d]", m.Base, m.Displacement)
	}
	return "[" + m.Base + "]"
}

// registers are the source of an atomic instruction and the target.
func (w word) registers(wide bool) string {
	return generalRegister(w.field(16, 5), wide) + "," + generalRegister(w.field(0, 5), wide) + ","
}

// pairs are two sources and two targets.
func (w word) pairs(wide bool) string {
	s, t := w.field(16, 5), w.field(0, 5)
	var b strings.Builder
	for _, n := range [...]uint32{s, s + 1, t, t + 1} {
		b.WriteString(generalRegister(n&31, wide) + ",")
	}
	return b.String()
}

// ordered is cas or casp with how it is ordered and how large it is.
func (w word) ordered(name string, size uint32) string {
	if w.field(22, 1) == 1 {
		name += "a"
	}
	if w.field(15, 1) == 1 {
		name += "l"
	}
	return name + sizeLetter(size)
}

func sizeLetter(size uint32) string { return [...]string{"b", "h", "", ""}[size] }

// atomicName is one of the atomic instructions of Armv8.1, or ldapr.
func (w word) atomicName() (name, operands string, ok bool) {
	size, opc, wide := w.field(30, 2), w.field(12, 3), w.field(30, 2) == 3
	target := generalRegister(w.field(0, 5), wide) + "," + w.at()
	switch {
	case w.field(15, 1) == 1 && opc == 4 && w.is(0x00ff0000, 0x00bf0000):
		return "ldapr" + sizeLetter(size), target, true
	case w.field(15, 1) == 1 && opc == 0:
		name = "swp"
	case w.field(15, 1) == 1:
		return "", "", false
	default:
		name = [...]string{"ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin"}[opc]
	}
	order := ""
	if w.field(23, 1) == 1 {
		order = "a"
	}
	if w.field(22, 1) == 1 {
		order += "l"
	}
	source := generalRegister(w.field(16, 5), wide) + ","
	if w.field(0, 5) == 31 && w.field(23, 1) == 0 && name != "swp" {
		return "st" + name[2:] + order + sizeLetter(size), source + w.at(), true
	}
	return name + order + sizeLetter(size), source + target, true
}

// unscaledName is one of the loads and stores of Armv8.4 that are ordered.
func (w word) unscaledName() (name, operands string, ok bool) {
	size, opc := w.field(30, 2), w.field(22, 2)
	wide := size == 3 || opc == 2
	switch {
	case opc == 0:
		name = "stlur" + sizeLetter(size)
	case opc == 1:
		name = "ldapur" + sizeLetter(size)
	case size < 2, size == 2 && opc == 2:
		name = "ldapurs" + [...]string{"b", "h", "w"}[size]
	default:
		return "", "", false
	}
	return name, generalRegister(w.field(0, 5), wide) + "," + w.at(), true
}

// operands writes those of an entry.
func (w word) operands(letters string) string {
	var list []string
	if word, ok := strings.CutPrefix(letters, "="); ok {
		word, letters, _ = strings.Cut(word, ",")
		list = append(list, word)
	}
	for _, c := range letters {
		switch c {
		case 'd':
			list = append(list, generalRegister(w.field(0, 5), true))
		case 'D':
			list = append(list, base(w.field(0, 5)))
		case 'n':
			list = append(list, generalRegister(w.field(5, 5), true))
		case 'N':
			list = append(list, base(w.field(5, 5)))
		case 'M':
			list = append(list, base(w.field(16, 5)))
		case '@':
			list = append(list, w.at())
		case 'I':
			list = append(list, fmt.Sprintf("#%#x", w.field(5, 16)))
		case '#':
			list = append(list, fmt.Sprintf("#%#x", w.field(0, 16)))
		}
	}
	return strings.Join(list, ",")
}
